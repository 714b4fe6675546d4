"""What a run takes is said from its configuration, before anything is allocated, and agrees with what it then takes."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from interp import machine
from interp.cli import main
from interp.config.recipes import recipe
from interp.config.run_config import CheckpointConfig, ModelConfig, RunConfig
from interp.errors import DataError, TrainingError, UsageError
from interp.keeping.batch import record_batch
from interp.keeping.recorder import record, resume
from interp.networks.initial import initial_weights
from interp.networks.initial_shapes import initial_shapes, n_parameters
from interp.observing.analysed_sizes import measuring_bytes, room_for_measuring
from interp.observing.observe import observe
from interp.store.recorded_sizes import check_pairs
from interp.studies.effort import effort
from interp.studies.study import Study
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig
from interp.training import demand, token_tables
from interp.training.demand import disk_bytes, trained_pairs
from interp.training.fitting import Room, check_run
from interp.training.loop import Training, train
from interp.training.many import train_many

TINY = RunConfig(
    task=ModularTask(7), model=ModelConfig(d_model=16, d_mlp=16), steps=2, engine="reference", threads=1,
    checkpoints=CheckpointConfig(log=2, every=1),
)  # fmt: skip
NANDA = recipe("nanda")
GIGABYTE = 10**9


def large(p: int, engine: str = "reference") -> RunConfig:
    return replace(NANDA, task=ModularTask(p), engine=engine)  # type: ignore[arg-type]  # both are names of engines


@contextmanager
def nothing_allocated() -> Iterator[None]:
    """Fails if more than a few megabytes are allocated inside."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with 8 GB of free memory and 50 GB of free disk."""
    monkeypatch.setattr(machine, "available_memory", lambda: 8 * GIGABYTE)
    monkeypatch.setattr(machine, "free_disk", lambda _: 50 * GIGABYTE)


REFUSED = {
    "p": (large(997), r"^task\.p: given 997: such a run takes, by estimate, 24 GB of memory, 8\.0 GB are free; "),
    "p 3000": (large(3000, "auto"), r"^task\.p: given 3,000: .* the largest that fits is 1,5\d\d"),
    "p 10000": (large(10_000), r"^task\.p: given 10,000: .* 14 TB of memory"),
    "p 1e9": (large(10**9, "auto"), r"^task\.p: given 1,000,000,000: .* more than 1,000 EB of memory"),
    "d_model": (replace(NANDA, model=ModelConfig(d_model=10**6)), r"^model\.d_model: given 1,000,000: .* fits is \d"),
    "d_mlp": (replace(NANDA, model=ModelConfig(d_mlp=10**12)), r"^model\.d_mlp: given 1,000,000,000,000: "),
    "log": (replace(NANDA, checkpoints=CheckpointConfig(10**9, 0), steps=10**6), r"^checkpoints\.log: given 1,000,000,000"),
    "every": (replace(NANDA, checkpoints=CheckpointConfig(every=1), steps=10**6), r"^checkpoints\.every: given 1: .* the least "),
    "steps": (replace(NANDA, steps=10**10), r"^steps: given 10,000,000,000: "),
    "time": (replace(large(499), steps=10**7, checkpoints=CheckpointConfig(every=0)), r"of training, more than 30 days"),
    "several": (
        replace(NANDA, task=ModularTask(10**5), model=ModelConfig(d_mlp=10**8)),
        r"^model\.d_mlp: given 100,000,000, task\.p: given 100,000: .* no other value of one of them alone fits",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.usefixtures("planted")
def test_too_much_is_refused_before_anything_is_allocated(name: str, tmp_path: Path) -> None:
    config, said = REFUSED[name]
    with nothing_allocated(), pytest.raises(UsageError, match=said) as raised:
        record(config, tmp_path, "run")
    assert "insist with --force (in Python, force=True)" in str(raised.value)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["p", "p 3000", "d_model", "d_mlp", "log", "every", "steps", "time"])
@pytest.mark.usefixtures("planted")
def test_the_value_that_is_named_fits_and_the_next_does_not(name: str) -> None:
    config, _ = REFUSED[name]
    with pytest.raises(UsageError) as raised:
        check_run(config, room=Room.here(Path()))
    field, text = str(raised.value).split(":")[0], str(raised.value)
    fits = int(text.split(" that fits is ")[1].split(";", maxsplit=1)[0].replace(",", ""))
    by = {"model.d_model": config.model.n_heads, "checkpoints.every": -1}.get(field, 1)

    def having(value: int) -> RunConfig:
        part, _, inner = field.rpartition(".")
        return replace(config, **({part: replace(getattr(config, part), **{inner: value})} if part else {inner: value}))

    check_run(having(fits), room=Room.here(Path()))
    with pytest.raises(UsageError):
        check_run(having(fits + by), room=Room.here(Path()))


@pytest.mark.usefixtures("planted")
def test_every_way_to_train_asks(tmp_path: Path) -> None:
    config = large(3000)
    with nothing_allocated():
        for begin in (
            lambda: Training(config),
            lambda: next(train(config)),
            lambda: next(train_many([config])),
            lambda: record_batch([replace(config, engine="auto")], tmp_path),
            lambda: Study(config, seeds=range(2), name="s", root=tmp_path).run(progress=False),
            lambda: effort(Study(config, seeds=range(2), name="s", root=tmp_path)),
        ):
            with pytest.raises(UsageError, match=r"task\.p: given 3,000"):
                begin()


@pytest.mark.usefixtures("planted")
def test_runs_at_once_share_the_memory() -> None:
    one = replace(NANDA, task=ModularTask(499), engine="reference", threads=1)
    check_run(one, room=Room.here())
    with pytest.raises(UsageError, match=r"of memory, 1\.0 GB are free"):
        train_many([replace(one, seed=seed) for seed in range(8)], workers=8)


@pytest.mark.usefixtures("planted")
def test_a_study_of_many_small_runs_can_be_too_much_for_the_disk(tmp_path: Path) -> None:
    study = Study(replace(NANDA, steps=1_000_000), seeds=range(2000), name="s", root=tmp_path)
    with pytest.raises(UsageError, match=r"2,000 runs take, by estimate, 1\d\d GB on the disk, 50 GB are free"):
        effort(study)
    assert "by estimate" in str(effort(study, force=True))


def test_insisted_on_it_is_begun_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(machine, "available_memory", lambda: 1000)
    with pytest.raises(UsageError, match=r"of memory, 1\.0 kB are free"):
        record(TINY, tmp_path, "run", progress=False)
    assert record(TINY, tmp_path, "run", progress=False, force=True).status == "finished"
    assert "as insisted" in caplog.text
    assert [step.index for step in train(TINY, force=True)] == [0, 1, 2]
    ((number, step),) = train_many([TINY], workers=1, force=True)
    assert (number, getattr(step, "index", step)) == (0, 2)
    assert Study(TINY, name="s", root=tmp_path).run(workers=1, progress=False, force=True).finished == 1


def test_a_run_that_was_begun_goes_on_where_there_is_memory_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = iter(Training(TINY))
    next(steps)
    run = record(TINY, tmp_path, "run", progress=False)
    monkeypatch.setattr(machine, "free_disk", lambda _: 0)
    monkeypatch.setattr(machine, "available_memory", lambda: 0)
    assert resume(run.path).status == "finished"  # it is at its end: nothing is asked


def test_what_insisting_brings_about_is_said_without_a_traceback(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="memory"):
        record(replace(TINY, model=ModelConfig(d_mlp=10**15)), tmp_path, "run", progress=False, force=True)
    with pytest.raises(TrainingError, match="memory"):
        record(replace(TINY, task=ModularTask(2**31 - 1)), tmp_path, "run2", progress=False, force=True)


@pytest.mark.usefixtures("planted")
def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for given in (["train", "nanda", "--task.p", "3000"], ["study", "new", "s", "--set", "task.p=30000"]):
        with pytest.raises(SystemExit) as ended:
            main([*given, "--root", str(tmp_path)])
        assert ended.value.code == 2
        p = f"{int(given[-1].removeprefix('task.p=')):,}"
        assert f"task.p: given {p}: such a run takes, by estimate," in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("model", [ModelConfig(biases="all"), ModelConfig(biases="none", equals_class=True), ModelConfig()])
def test_shapes_are_those_of_the_tensors(model: ModelConfig) -> None:
    config = replace(TINY, model=model)
    tensors = initial_weights(config).tensors()
    assert initial_shapes(config) == {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    assert n_parameters(config) == sum(tensor.numel() for tensor in tensors.values())


@pytest.mark.parametrize("rule", ["torch", "python", "numpy", "sklearn", "random-split"])
def test_pairs_are_counted_as_they_are_drawn(rule: str) -> None:
    config = replace(TINY, split=SplitConfig(rule, 0, 0.37))  # type: ignore[arg-type]  # names of rules
    assert trained_pairs(config) == len(config.split.draw(config.task).train)


def test_the_disk_is_what_the_files_are(tmp_path: Path) -> None:
    config = replace(TINY, task=ModularTask(29), model=ModelConfig(), steps=40, checkpoints=CheckpointConfig(log=5, every=10))
    run = record(config, tmp_path, "run", progress=False)
    held = sum(file.stat().st_size for file in run.path.rglob("*") if file.is_file())
    resumable = 3 * 4 * n_parameters(config)  # twice while it is replaced; what is kept of the last step is as much
    assert disk_bytes(config) - resumable == pytest.approx(held, rel=0.25)


def test_columns_are_padded_as_the_engines_pad_them() -> None:
    assert demand._LANE == token_tables.LANE


@pytest.mark.parametrize(("equals", "threads"), [(True, 1), (True, 3), (False, 2)])
def test_buffers_are_counted_as_they_are_allocated(equals: bool, threads: int) -> None:
    from interp.training.cpu.buffers import allocate
    from interp.training.cpu.pair_chunks import share_out
    from interp.training.token_tables import Shape

    config = replace(NANDA, task=ModularTask(61, equals_sign=equals), model=ModelConfig(d_model=64, d_mlp=128))
    split = config.split.draw(config.task)
    train_pairs, test_pairs = (share_out(rows, config.task, threads=threads) for rows in (split.train, split.test))
    shape = Shape(equals, 1.0, d_mlp=128, classes=61)
    tables, chunks, gradients = allocate(shape, 61, d_model=64, heads=4, threads=threads, train=train_pairs, test=test_pairs)
    arrays = [array for part in (tables, *chunks, gradients) for array in part if isinstance(array, np.ndarray)]
    assert demand._cpu_bytes(config, threads) * 4 == pytest.approx(sum(array.nbytes for array in arrays), rel=0.5)


PEAKS = [
    ("reference", NANDA, 1), ("reference", replace(NANDA, task=ModularTask(67), dtype="float64"), 1),
    ("reference", replace(NANDA, task=ModularTask(13), model=ModelConfig(d_model=1024, d_mlp=1024)), 1), ("cpu", NANDA, 1),
]  # fmt: skip
MEASURE = """
import sys, json
from pathlib import Path
from dataclasses import replace
import interp.training.cpu.cpu_engine
from interp.config.run_config import RunConfig
from interp.training.loop import Training

def said(name):
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(lines[name].split()[0])

config = RunConfig.from_json(sys.stdin.read())
before = said("VmRSS")
for _ in Training(config):
    pass
print(said("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no peak of memory is told here")
@pytest.mark.parametrize(("engine", "config", "threads"), PEAKS, ids=range(len(PEAKS)))
def test_the_estimate_of_the_memory_is_within_a_factor_of_what_is_taken(engine: str, config: RunConfig, threads: int) -> None:
    config = replace(config, engine=engine, threads=threads, steps=1)  # type: ignore[arg-type]  # names of engines
    done = subprocess.run([sys.executable, "-c", MEASURE], input=config.to_json(), capture_output=True, text=True, check=True)
    peak = int(done.stdout)
    assert 0.8 * peak < demand.demand(config, engine).memory < 1.6 * peak


@pytest.mark.usefixtures("planted")
def test_measuring_a_large_model_is_refused_or_done_fewer_at_once(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UsageError, match=r"p = 997 .* take, by estimate, 4\d GB .* the largest p that fits is 5\d\d"):
        room_for_measuring(997, 512)
    assert room_for_measuring(113, 512, wanted=8) == 8
    caplog.set_level("INFO", "interp")
    assert room_for_measuring(397, 512, wanted=8) == int((8e9 - 60e6) / (measuring_bytes(397, 512) - 60e6)) == 2
    assert "memory is short: 2 checkpoints measured at once" in caplog.text
    assert room_for_measuring(997, 512, wanted=8, force=True) == 1


def test_observing_asks_unless_all_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = record(TINY, tmp_path, "run", progress=False)
    monkeypatch.setattr(machine, "available_memory", lambda: 10**6)
    with pytest.raises(UsageError, match="insist with --force"):
        observe(run, ["progress_measures"])
    measured = observe(run, ["progress_measures"], force=True)
    assert observe(run, ["progress_measures"]).restricted_loss.equals(measured.restricted_loss)


def test_a_recorded_p_of_a_thousand_million_is_refused(tmp_path: Path) -> None:
    from hashlib import sha256

    run = record(TINY, tmp_path, "run", progress=False)
    where, listed = run.path / "run.json", run.path / "manifest.json"
    text = where.read_text().replace('"p": 7', '"p": 1000000000')
    where.write_text(text)
    manifest = json.loads(listed.read_text())
    del manifest["sha256"]  # its own, as in manifests of earlier versions
    changed = json.dumps(manifest).replace(manifest["files"]["run.json"]["sha256"], sha256(text.encode()).hexdigest())
    listed.write_text(changed.replace(f'"size": {manifest["files"]["run.json"]["size"]}', f'"size": {len(text.encode())}'))
    from interp.store.run import list_runs, open_run

    opened = open_run(run.path)
    with nothing_allocated():
        assert [one.facts()["p"] for one in list_runs(tmp_path)] == [10**9]
        for look in (lambda: opened.task, lambda: observe(opened), lambda: opened.verify() and opened.task):
            with pytest.raises(DataError, match=r"run\.json: (says p = 1,000,000,000, whose pairs|.*task\.p is 1000000000)"):
                look()


def test_the_guard_on_pairs_names_the_largest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "available_memory", lambda: 64 * 10**6)
    check_pairs(1000, where="run.json")
    with pytest.raises(DataError, match=r"enough for p = 1,000"):
        check_pairs(1001, where="run.json")


def test_memory_is_the_least_that_anything_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    for folder in (proc / "self", groups / "a" / "b", groups / "memory" / "c"):
        folder.mkdir(parents=True)
    monkeypatch.setattr(machine, "_PROC", proc)
    monkeypatch.setattr(machine, "_CGROUPS", groups)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    (proc / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable: 8000 kB\n")
    (proc / "self" / "status").write_text("VmSize:\t 1000 kB\n")
    assert machine.available_memory() == 8000 * 1024
    (proc / "self" / "cgroup").write_text("0::/a/b\n")  # the second version: the outer group is the tighter one
    for name, limit, used in (("a/b", "max", 500), ("a", "5000", 3000)):
        (groups / name / "memory.max").write_text(limit)
        (groups / name / "memory.current").write_text(str(used))
    (groups / "a" / "memory.stat").write_text("anon 1\ninactive_file 700\n")
    assert machine.available_memory() == 5000 - 3000 + 700
    (proc / "self" / "cgroup").write_text("4:cpu,memory:/of/the/host\n")  # the first version, seen from within a container
    (groups / "memory" / "memory.limit_in_bytes").write_text("4000")
    (groups / "memory" / "memory.usage_in_bytes").write_text("1500")
    assert machine.available_memory() == 2500
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1000 * 1024 + 77, resource.RLIM_INFINITY))
    assert machine.available_memory() == 77
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1000, resource.RLIM_INFINITY))
    assert machine.available_memory() == 0


def test_a_limit_on_the_address_space_counts() -> None:
    code = (
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))\n"
        "from interp.machine import available_memory\nprint(available_memory())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) < 2**31


def test_the_estimate_of_the_time_is_of_the_order_of_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the steps that benchmarks/scaling.py has measured, on the two cores that it had."""
    monkeypatch.setattr(demand, "available_threads", lambda: 2)
    recorded = json.loads((Path(__file__).parents[1] / "benchmarks" / "measured.json").read_text())["scaling"]["points"]
    for point in recorded:
        model = ModelConfig(d_model=point["d_model"], n_heads=point["heads"], d_mlp=point["d_mlp"])
        config = RunConfig(task=ModularTask(point["p"]), split=SplitConfig(fraction=point["fraction"]), model=model)
        for engine, measured in point["milliseconds"].items():
            estimated = 1e3 * demand._step_seconds(config, engine, point["threads"])
            assert 1 / 4 < estimated / measured["median"] < 4, (point, engine, estimated)
