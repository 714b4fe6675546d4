"""Measuring many checkpoints at once: the same numbers for any number of threads, and a user's code left in peace."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

import interp
from interp.config.run_config import CheckpointConfig, ModelConfig, RunConfig, SplitConfig
from interp.cores import shared_out, side_by_side
from interp.errors import UsageError
from interp.forecasting.last_word import expected_of
from interp.losses import correct
from interp.observing import measuring
from interp.observing.analysis import Analysis, builtin_names, find_analyses
from interp.observing.fingerprint import toolkit_digest
from interp.observing.series import about
from interp.observing.summary import summary
from interp.observing.view import View
from interp.store.kept import keep, recall
from interp.store.results import Results
from interp.store.run import Run
from interp.tasks.modular import ModularTask

CONFIG = RunConfig(
    task=ModularTask(11),
    split=SplitConfig(fraction=0.5),
    model=ModelConfig(d_model=16, n_heads=2, d_mlp=24),
    checkpoints=CheckpointConfig(log=0, every=5),
    steps=40,
    engine="reference",
    threads=1,
)


@pytest.fixture
def run(tmp_path) -> Run:
    return interp.record(CONFIG, root=tmp_path, name="eleven", progress=False)


def copy_of(run: Run, name: str) -> Run:
    """The same run, nothing of which has been measured."""
    return interp.record(CONFIG, root=run.path.parent, name=name, progress=False)


def test_results_come_in_the_order_of_items_from_so_many_threads():
    barrier = threading.Barrier(3, timeout=20)

    def meet(item: int) -> tuple[int, str]:
        barrier.wait()  # passes only if three are at work at once
        return item, threading.current_thread().name

    found = list(shared_out(meet, range(9), threads=3))
    assert [item for item, _ in found] == list(range(9))
    assert len({name for _, name in found}) == 3


def test_one_thread_is_the_calling_one_and_torch_gets_its_threads_back():
    before = torch.get_num_threads()
    with_torch = list(side_by_side(lambda _: (threading.current_thread(), torch.get_num_threads()), range(2), threads=1))
    assert with_torch == [(threading.main_thread(), 1)] * 2
    assert torch.get_num_threads() == before


def test_an_error_comes_where_its_result_would_and_the_rest_is_left_undone():
    begun = []

    def fail_at_2(item: int) -> int:
        begun.append(item)
        if item == 2:
            raise ValueError("two")
        return item

    found = shared_out(fail_at_2, range(1000), threads=2)
    assert [next(found), next(found)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(found)
    assert len(begun) < 20


def test_items_are_taken_no_further_ahead_than_three_results():
    taken = []

    def items():
        for item in range(100):
            taken.append(item)
            yield item

    found = shared_out(lambda item: item, items(), threads=2)
    next(found)
    assert len(taken) <= 4


def test_in_any_order_what_is_done_first_comes_first():
    go_on = threading.Event()

    def slow_first(item: int) -> int:
        assert item or go_on.wait(20)
        return item

    found = shared_out(slow_first, range(50), threads=2, in_order=False)
    others = [next(found) for _ in range(49)]  # many more than may wait for one in their order
    go_on.set()
    assert sorted(others) == list(range(1, 50))
    assert list(found) == [0]


def test_what_is_measured_at_the_last_checkpoint_alone_is_begun_first(run, monkeypatch):
    asked, measured = [], measuring.measured_by

    def note(analysis, view, of=None):
        asked.append((view.step, analysis.at))
        return measured(analysis, view, of)

    monkeypatch.setattr(measuring, "measured_by", note)
    told = []
    observe_all = {"analyses": builtin_names(), "threads": 1, "on_step": lambda done, total: told.append((done, total))}
    interp.observe(copy_of(run, "last"), **observe_all)
    assert asked[0] == (run.steps[-1], "last")
    assert [at for _, at in asked].count("last") == 1
    total = len(run.steps)  # the last one is told when both of its parts are there
    assert told == [(done, total) for done in range(total + 1)]


def test_beside_one_of_the_last_checkpoint_a_users_analysis_is_asked_in_the_order_of_steps(run):
    asked = []

    def notes(view: View) -> dict[str, float]:
        asked.append(view.step)
        raise ValueError("nothing")

    [dissection] = find_analyses(["dissection"])
    series = interp.observe(run, [dissection, Analysis("mine", "What?", measure=notes)], threads=2)
    assert asked == [0]
    assert about(series).failures["mine"].startswith("at step 0: ")
    interp.observe(run, [dissection, Analysis("mine", "What?", measure=lambda view: asked.append(view.step) or {"x": 1.0})])
    assert asked == [0, *run.steps]


def test_of_a_failure_the_first_step_is_told_whichever_came_first(run, monkeypatch):
    measured, last = measuring.measured_by, run.steps[-1]

    def fails(analysis, view, of=None):
        if analysis.name == "weight_norms" and view.step in (last, run.steps[1]):
            return ValueError("no weights")
        return measured(analysis, view, of)

    monkeypatch.setattr(measuring, "measured_by", fails)
    monkeypatch.setattr(measuring, "side_by_side", lambda function, items, **_: [function(item) for item in items][::-1])
    series = interp.observe(copy_of(run, "fails"), "weight_norms")
    assert interp.about(series).failures["weight_norms"].startswith(f"at step {run.steps[1]}: ")


def test_numbers_do_not_depend_on_the_number_of_threads(run):
    alone = interp.observe(run, threads=1)
    several = interp.observe(copy_of(run, "again"), threads=3)
    assert set(alone.data_vars) == set(several.data_vars)
    for name, values in alone.data_vars.items():
        assert np.array_equal(values.values, several[name].values, equal_nan=values.dtype.kind == "f"), name


def test_a_users_analysis_is_asked_by_the_calling_thread_in_the_order_of_steps(run):
    asked = []

    def measure(view: interp.View) -> dict[str, float]:
        asked.append((view.step, threading.current_thread()))
        return {"mine": float(view.logits.mean())}

    mine = Analysis("mine", question="Who asks?", measure=measure, figure=lambda series: None)
    series = interp.observe(run, ["progress_measures", mine], threads=4)
    assert asked == [(step, threading.main_thread()) for step in run.steps]
    assert "restricted_loss" in series


def test_built_in_analyses_are_measured_by_several_threads(run, monkeypatch):
    weight_norms = find_analyses(["weight_norms"])[0]
    barrier, names = threading.Barrier(2, timeout=20), set()

    def measure(view: interp.View) -> dict[str, float]:
        barrier.wait()
        names.add(threading.current_thread().name)
        return {"total": 1.0}

    together = replace(weight_norms, measure=measure)
    monkeypatch.setattr("interp.observing.analysis._built_in", lambda name: together)
    interp.observe(run, [together], steps=run.steps[:8], threads=2)
    assert len(names) == 2


def test_what_failed_is_named_at_its_first_step_and_what_was_measured_before_an_interruption_is_kept(run):
    def measure(view: interp.View) -> dict[str, float]:
        if view.step >= 15:
            raise KeyboardInterrupt if view.step == 20 and stop else ValueError(f"no {view.step}")
        return {"fine": 1.0}

    stop = False
    odd = Analysis("odd", question="Odd?", measure=measure, figure=lambda series: None)
    series = interp.observe(run, [odd, "weight_norms"], threads=3)
    (why,) = about(series).failures.values()
    assert re.fullmatch(r"at step 15: ValueError: no 15 \(.*test_measuring\.py, line \d+\)", why)
    other, stop = copy_of(run, "stopped"), True
    interrupting = replace(odd, name="interrupting", measure=lambda view: measure(view) if view.step == 20 else {"fine": 1.0})
    with pytest.raises(KeyboardInterrupt):
        interp.observe(other, [interrupting, "weight_norms"], threads=2)
    kept = next((other.path / "results").glob("weight_norms-*"))
    assert len(Results(other.path, "weight_norms", key=_key(kept))._rows) >= 4


def _key(path) -> str:
    import json

    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        return json.loads(file.metadata()["interp"])["key"]


def test_a_number_of_threads_must_be_one(run):
    with pytest.raises(UsageError, match="given 0, expected at least 1"):
        interp.observe(run, ["weight_norms"], threads=0)
    with pytest.raises(UsageError, match="given -1"):
        run.verify(threads=-1)


def test_small_facts_are_kept_by_key_and_never_believed_when_damaged(tmp_path):
    key, other = "a" * 64, "a" * 16 + "b" * 48
    keep(tmp_path, "fact", {"steps": [1, 2], "loss": float("nan")}, key=key)
    assert recall(tmp_path, "fact", key=key)["steps"] == [1, 2]
    assert recall(tmp_path, "fact", key=other) is None  # the same file name, another content
    path = next((tmp_path / "results").iterdir())
    whole = path.read_bytes()
    for i in range(len(whole)):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :])
        found = recall(tmp_path, "fact", key=key)
        assert found is None or found["steps"] == [1, 2]  # at most white space changed
    path.write_bytes(whole[:-3])
    assert recall(tmp_path, "fact", key=key) is None


HEAVY = {"torch", "numba", "transformer_lens"}
DRAWING = {"plotly", "xarray", "pandas"}


@pytest.mark.parametrize(
    ("command", "unwanted"),
    [
        (["runs", "--root", "{root}"], HEAVY | DRAWING),
        (["verify", "{run}"], HEAVY | DRAWING),
        (["show", "{run}"], HEAVY | DRAWING),
        (["analyze", "{run}"], HEAVY | {"plotly"}),
        (["report", "{run}", "-o", "{out}/page.html"], HEAVY),
        (["figure", "{run}", "progress_measures", "-o", "{out}/figure.json"], HEAVY),
    ],
)
def test_looking_at_a_measured_run_imports_only_what_it_needs(run, tmp_path, command, unwanted):
    summary(run)
    expected_of(run)
    interp.report(run, tmp_path / "first.html")
    only_needed([word.format(run=run.path, root=run.path.parent, out=tmp_path) for word in command], unwanted)


@pytest.mark.parametrize("command", [["runs", "--root", "{root}"], ["show", "{run}"], ["du", "--root", "{root}"]])
@pytest.mark.parametrize("name", ["S3", "x/y mod 5", "a*b by a table"])
def test_looking_at_a_run_of_a_table_imports_only_what_it_needs(tmp_path, command, name):
    """Its harmonics would need torch; nobody asks for them here."""
    if name.startswith("a"):
        table = [[a * b % 5 for b in range(5)] for a in range(5)]
        task = interp.binary_operation(name, table, harmonics=interp.task("x*y mod 5").harmonics)
    else:
        task = interp.task(name)
    s5 = interp.recipe("s5")
    config = replace(
        s5, task=task, steps=2, checkpoints=interp.CheckpointConfig(log=0, every=1),
        model=replace(s5.model, d_model=8, n_heads=2, d_mlp=8), optimizer=replace(s5.optimizer, batch_size=None),
    )  # fmt: skip
    run = interp.record(config, tmp_path / "runs", "table", progress=False)
    summary(run)
    expected_of(run)
    only_needed([word.format(run=run.path, root=run.path.parent) for word in command], HEAVY | DRAWING)


def only_needed(words, unwanted):
    """A command that succeeds in a process of its own without loading these libraries."""
    script = (
        "import sys\nfrom interp.cli.entry import main\n"
        f"try:\n    main({words!r})\n"
        "except SystemExit as end:\n    code = end.code\n"
        f"heavy = sorted(set({sorted(unwanted)!r}) & set(sys.modules))\n"
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_what_was_measured_is_read_without_torch(run):
    interp.observe(run)
    script = (
        "import sys, interp\n"
        f"series = interp.observe(interp.open_run({str(run.path)!r}))\n"
        "assert 'restricted_loss' in series\nassert 'torch' not in sys.modules, 'torch was imported'"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_variants_are_kept_up_to_a_number_and_a_size(tmp_path, monkeypatch):
    def kept() -> list[str]:
        return sorted(recall(tmp_path, "fact", key=f"{i}" * 64) for i in range(8) if recall(tmp_path, "fact", key=f"{i}" * 64))

    for i in range(6):
        keep(tmp_path, "fact", f"value {i}", key=f"{i}" * 64)
    assert kept() == [f"value {i}" for i in range(2, 6)]
    size = next((tmp_path / "results").iterdir()).stat().st_size
    monkeypatch.setattr("interp.store.kept.KEEP_BYTES", 2 * size)
    keep(tmp_path, "fact", "value 6", key="6" * 64)
    assert kept() == ["value 5", "value 6"]
    monkeypatch.setattr("interp.store.kept.KEEP_BYTES", 1)
    keep(tmp_path, "fact", "value 7", key="7" * 64)
    assert kept() == ["value 7"]  # the latest, however large


def test_an_analysis_that_shares_its_work_out_uses_no_more_cores_than_it_is_given(run, monkeypatch):
    seen = []

    def spy(*_: object, threads: int | None = None, **__: object) -> dict[str, object]:
        seen.append(threads)
        raise RuntimeError("enough")

    monkeypatch.setattr("interp.anatomy.anatomy", spy)
    for threads in (1, 3):
        interp.observe(run, ["dissection"], threads=threads)
    assert seen == [1, 3]


def test_a_correction_of_a_built_in_analysis_is_one_of_the_toolkit(tmp_path, monkeypatch):
    folder = tmp_path / "analyses"
    folder.mkdir()
    (folder / "mine.py").write_text("FIRST = 1\n")
    monkeypatch.setattr("interp.observing.fingerprint.builtin_directory", lambda: folder)
    digests = []
    for text in ("FIRST = 1\n", "FIRST = 2\n"):
        (folder / "mine.py").write_text(text)
        toolkit_digest.cache_clear()
        digests.append(toolkit_digest())
    toolkit_digest.cache_clear()
    assert digests[0] != digests[1]


def test_what_failed_is_worked_out_again(run, monkeypatch):
    def fail(view: interp.View) -> None:
        raise MemoryError

    whole = find_analyses(["progress_measures"])[0]
    monkeypatch.setattr("interp.observing.analysis._built_in", lambda name: replace(whole, measure=fail))
    assert summary(run)["phases"]["onset"] is None
    assert not list((run.path / "results").glob("summary-*"))
    monkeypatch.undo()
    summary(run)
    assert list((run.path / "results").glob("summary-*"))


@pytest.mark.parametrize("code", ["EROFS", "ENOSPC", "EACCES"])
def test_what_cannot_be_kept_is_still_computed(run, monkeypatch, code):
    import errno

    def refuse(path: object, data: bytes) -> None:
        raise OSError(getattr(errno, code), "refused")

    monkeypatch.setattr("interp.store.kept.write_atomically", refuse)
    monkeypatch.setattr("interp.store.results.write_atomically", refuse)
    assert summary(run)["key_frequencies"]["rule"] == "unembedding"
    assert not [path for path in run.path.glob("results/*") if path.is_file()]


def test_what_follows_from_task_and_split_is_made_once_for_all_checkpoints(run):
    made = []

    def parity(view):
        even = view.once_per_run("parity", lambda: made.append(view.step) or view.labels % 2 == 0)
        return {"even_right": float(view.right[even].double().mean())}

    series = interp.observe(run, parity)
    assert made == [run.steps[0]]
    assert len(series.step) == len(run.steps) > 1
    last = interp.observe(run, parity, steps=run.steps[-1])  # another series, which has its own
    assert made == [run.steps[0], run.steps[-1]]
    assert float(last.even_right[0]) == float(series.even_right[-1])


def test_right_is_the_same_however_a_task_is_read(run):
    """Of addition circuit and view share it; where classes or rows are in another order, they do not."""
    for task in (ModularTask(11), ModularTask(11, operation="subtract"), ModularTask(11, operation="multiply")):
        seen = View(0, run.last.network, task, SplitConfig(fraction=0.5).draw(task), (1,), {})
        assert torch.equal(seen.right, correct(seen.logits, seen.labels))
        assert torch.equal(seen.circuit.right, correct(seen.circuit.logits, seen.circuit.labels))
        assert (seen.circuit.right is seen.right) == (task.operation == "add")
