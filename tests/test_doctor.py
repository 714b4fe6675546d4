"""The doctor: planted failures have their cause named first, what is healthy gets no advice, what is not known is said."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tyro
from patients import config, failed, grokked, mirrored, patient

from interp import Diagnosis, ModularTask, Split, binary_operation, diagnose, recipe, task
from interp.cli.entry import main
from interp.cli.making import Train
from interp.forecasting.doctor.causes.leak_rule import mirrors
from interp.forecasting.doctor.causes.structure_rule import structure
from interp.forecasting.doctor.diagnosing import judge
from interp.forecasting.doctor.knowledge import Boundary, knowledge
from interp.forecasting.doctor.patient import Course

ROOT = Path(__file__).parent.parent
PLANTED = {
    "no weight decay": ("weight decay", {"optimizer__weight_decay": 0.0}),
    "too little weight decay": ("weight decay", {"optimizer__weight_decay": 0.05}),
    "weight decay that forgets": ("weight decay", {"optimizer__weight_decay": 60.0}),
    "too few pairs": ("too few pairs", {"split__fraction": 0.2}),
    "too few pairs at another modulus": ("too few pairs", {"task__p": 31, "split__fraction": 0.35}),
    "too many pairs": ("too many pairs", {"split__fraction": 0.95}),
    "learning rate too high": ("learning rate", {"optimizer__lr": 0.3}),
    "learning rate too low": ("learning rate", {"optimizer__lr": 1e-5}),
    "initial weights too small": ("initial scale", {"model__init_scale": 0.02}),
    "initial weights too large": ("initial scale", {"model__init_scale": 60.0, "steps": 4000}),
    "a short budget": ("budget", {"steps": 600}),
    "Adam's epsilon": ("precision", {"optimizer__eps": 1e-2}),
    "an operation of no group": ("no structure", {"task__operation": "x2xyy2"}),
}


@pytest.mark.parametrize(("cause", "changes"), PLANTED.values(), ids=PLANTED)
def test_a_planted_failure_is_named_first_before_training(cause, changes):
    found = diagnose(config(**changes))
    assert found.cause == cause, str(found)
    assert all(one.evidence and one.change for one in found.findings)
    assert found.command.startswith("interp train ")


@pytest.mark.parametrize(("cause", "changes"), [one for one in PLANTED.values() if one[0] != "too many pairs"])
def test_a_planted_failure_is_named_first_after_training(cause, changes):
    found = judge(patient(course=failed(changes.get("steps", 12_000)), **changes))
    assert found.cause == cause, str(found)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"seed": 7},
        {"task__p": 31, "split__fraction": 0.65},
        {"optimizer__weight_decay": 1.0},
        {"task__operation": "subtract"},
    ],
)
def test_healthy_settings_get_no_advice(changes):
    found = diagnose(config(**changes))
    assert found.findings == ()
    assert found.command is None
    assert "nothing found" in str(found)


@pytest.mark.parametrize("name", ["demo", "nanda", "transformer-lens"])
def test_recipes_with_a_plateau_are_healthy(name):
    assert diagnose(recipe(name)).findings == ()


def test_a_run_that_has_grokked_gets_no_advice_whatever_its_settings():
    assert judge(patient(course=grokked())).findings == ()
    odd = judge(patient(course=grokked(), optimizer__weight_decay=0.01, optimizer__lr=0.05))
    assert odd.findings == ()
    assert "has grokked: test accuracy 99 % at step 2,900" in odd.said


def test_a_plateau_that_is_none():
    assert judge(patient(course=grokked(at=200), split__fraction=0.9)).cause == "too many pairs"
    assert judge(patient(course=grokked(at=200), optimizer__weight_decay=8.0)).cause == "weight decay"
    assert judge(patient(course=grokked(at=2000), split__fraction=0.9)).findings == ()


def test_a_run_that_begins_where_another_had_grokked():
    begun = Course(4000, memorized=2000, grokked=2000, train_accuracy=1.0, test_accuracy=1.0, begun_at=2000, is_continued=True)
    assert judge(patient(course=begun)).cause == "already grokked"
    fork = Course(4000, memorized=2000, grokked=3000, train_accuracy=1.0, test_accuracy=1.0, begun_at=2000, is_continued=True)
    assert judge(patient(course=fork, optimizer__weight_decay=8.0)).findings == ()
    one_checkpoint = Course(40_000, is_over=True, memorized=40_000, grokked=40_000, begun_at=40_000, is_imported=True)
    assert judge(patient(course=one_checkpoint)).findings == ()


@pytest.mark.parametrize("p", [7, 23, 31])
def test_operations_are_structure_in_whatever_order_and_random_labels_are_none(p):
    draw, a = np.random.default_rng(p), np.arange(p)
    table = (a[:, None] + a) % p
    isotope = draw.permutation(p)[table[draw.permutation(p)][:, draw.permutation(p)]]
    for one in (table, (a[:, None] - 3 * a) % p, isotope):
        closed, chance, p_value = structure(one)
        assert closed == 1.0
        assert (p_value, chance < 0.5) == (0.01, True)
    random = [structure(draw.integers(0, p, (p, p)))[2] for _ in range(20)]
    assert 0.2 < np.mean(random) < 0.8  # uniform, as p-values of nothing are
    assert min(random) < np.mean(random) < max(random)


def test_a_nonabelian_group_is_structure():
    # The dihedral group of order 14: r^i s^j.
    i, j = np.divmod(np.arange(14), 2)
    sign = 1 - 2 * j
    table = 2 * ((i[:, None] + sign[:, None] * i) % 7) + (j[:, None] + j) % 2
    assert structure(table)[0] == 1.0


def test_labels_without_structure():
    draw = np.random.default_rng(0)
    random = binary_operation("random", draw.integers(0, 31, (31, 31)))
    assert judge(patient(course=failed(), task=random)).cause == "no structure"
    assert judge(patient(task=random)).cause == "no structure"
    table = ModularTask(31).labels.reshape(31, 31).copy()
    places = draw.random((31, 31)) < 0.3
    table[places] = (table[places] + draw.integers(1, 31, places.sum())) % 31
    noisy = judge(patient(course=failed(), task=binary_operation("noisy", table), split__fraction=0.65))
    assert noisy.cause == "no structure"
    told = re.search(r"as if (\d+) % of the labels were wrong", noisy.findings[0].evidence)
    assert 22 <= int(told[1]) <= 38
    assert judge(patient(task=binary_operation("sum", ModularTask(59).labels.reshape(59, 59)))).findings == ()


def test_mirrored_pairs_leak_and_random_splits_are_symmetry_only():
    leaks = judge(patient(course=failed(), split=mirrored(31), task__p=31, split__fraction=0.5))
    assert leaks.cause == "split leaks"
    assert "100 % of the test pairs" in leaks.findings[0].evidence
    subtracted = judge(patient(split=mirrored(31), task__p=31, task__operation="subtract"))
    assert "split leaks" not in [one.cause for one in subtracted.findings]
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(31 * 31)
        split = Split(train=order[:600], test=order[600:])
        share, expected, sigma = mirrors(split, 31)
        assert abs(share - expected) < 4 * sigma
        assert judge(patient(split=split, task__p=31, course=grokked())).findings == ()


def test_unordered_pairs_on_one_side_are_no_leak():
    a, b = ModularTask(31).pairs.T
    train = (a * b + a + b) % 3 == 0  # symmetric in a and b
    split = Split(train=np.flatnonzero(train), test=np.flatnonzero(~train))
    assert mirrors(split, 31)[0] == 0
    assert "split leaks" not in [one.cause for one in judge(patient(split=split, task__p=31)).findings]


def test_precision_of_somebody_elses_training():
    gone = failed(collapsed=0.98, is_imported=True)
    assert judge(patient(course=gone)).cause == "precision"
    assert judge(patient(course=failed(collapsed=0.98))).cause != "precision"  # this toolkit's loss is exact
    stopped = Course(700, is_over=True, not_finite=True, train_accuracy=0.2)
    assert judge(patient(course=stopped)).cause == "precision"
    assert judge(patient(course=stopped, optimizer__lr=0.5)).cause == "learning rate"


def test_a_budget_is_no_cause_of_its_own_beside_what_makes_it_short():
    for changes in ({"optimizer__weight_decay": 0.05}, {"optimizer__lr": 1e-5}, {"split__fraction": 0.2}):
        assert "budget" not in [one.cause for one in diagnose(config(**changes)).findings]


def test_a_budget_that_is_over_is_said():
    found = judge(patient(course=Course(5000, memorized=112, train_accuracy=1.0, test_accuracy=0.1), steps=4000))
    assert found.cause == "budget"
    assert "is behind it" in found.findings[0].evidence


def test_what_is_not_known_is_not_judged():
    made = patient(course=failed())
    blank = judge(type(made)(made.name, {}, made.task, None, failed(test_accuracy=None, train_accuracy=None)))
    assert blank.findings == ()
    assert "optimizer.weight_decay is not known" in blank.lacks
    assert "test accuracy is not known" in blank.lacks
    assert "not judged" in str(blank)


def test_what_changes_while_it_trains_is_not_judged_and_that_is_said():
    changed = replace(recipe("demo"), changes=("0:optimizer.weight_decay=0",))
    assert diagnose(recipe("demo")).lacks == ()
    assert any("what is changed while it trains (0:optimizer.weight_decay=0" in one for one in diagnose(changed).lacks)


def test_outside_of_what_was_measured_is_said():
    found = diagnose(config(task__p=211, split__fraction=0.05, model__d_model=64))
    assert found.cause == "too few pairs"
    assert any("task.p = 211" in one for one in found.outside)
    assert any("model.d_model = 64" in one for one in found.outside)
    assert "extrapolated" in str(found)


def test_nothing_that_was_tried_is_called_untried():
    for cell in knowledge().cells:
        found = diagnose(config(**{path.replace(".", "__"): value for path, value in cell.values().items()}))
        assert found.outside == (), str(cell)
    fewer = diagnose(config(task__p=19, split__fraction=0.8))
    assert fewer.outside == ("task.p = 19 is outside 23 to 113",)


def test_a_modulus_beyond_any_machine_is_judged_at_once():
    for operation in ("add", "x2xyy2"):
        found = diagnose(config(task__p=2**31 - 1, task__operation=operation, split__fraction=1e-9))
        assert found.cause == ("too few pairs" if operation == "add" else None)
        assert any("structure of a table" in one for one in found.lacks) is (operation == "x2xyy2")


def test_causes_come_in_order_of_likelihood():
    found = diagnose(config(optimizer__weight_decay=0.0, split__fraction=0.2, model__init_scale=0.01))
    assert [one.cause for one in found.findings][:2] == ["weight decay", "too few pairs"]
    assert [one.sure for one in found.findings] == sorted((one.sure for one in found.findings), reverse=True)
    assert str(found).index("1. weight decay") < str(found).index("2. too few pairs")


def test_the_command_starts_the_nearest_settings_that_are_known_to_grok():
    found = diagnose(config(task__p=31, split__fraction=0.2, optimizer__weight_decay=1.0))
    words = shlex.split(found.command)
    assert words[:2] == ["interp", "train"]
    started = tyro.cli(Train, default=Train(recipe(words[2])), args=words[3:]).config
    assert (started.task.p, started.split.fraction) == (31, found.nearest.fraction)
    assert found.nearest.grokked >= 0.8 * found.nearest.runs
    assert diagnose(started).findings == ()


def test_every_cell_that_is_known_to_grok_is_healthy():
    for cell in knowledge().cells:
        if cell.fraction < 0.85:
            changes = {path.replace(".", "__"): value for path, value in cell.values().items()}
            assert diagnose(config(**changes)).findings == (), str(cell)


def test_the_boundary_is_that_of_the_study():
    boundary = knowledge().boundary
    assert 0.290 <= boundary.fraction(59) <= 0.307  # the study's interval
    assert boundary.chance(59, boundary.fraction(59)) == pytest.approx(0.5)
    assert Boundary(4.0, 0.1).chance(31, 0.2) < Boundary(4.0, 0.1).chance(31, 0.6)


def test_a_configuration_is_judged_without_heavy_imports():
    heavy = "torch", "pandas", "xarray", "plotly", "scipy"
    code = f"import interp, sys; interp.diagnose(interp.recipe('demo')); print([one for one in {heavy} if one in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_the_command_line(capsys, tmp_path):
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "demo", "--optimizer.weight-decay", "0"])
    assert ended.value.code == 0
    assert "1. weight decay" in capsys.readouterr().out
    (tmp_path / "mine.toml").write_text("[split]\nfraction = 0.1\n")
    with pytest.raises(SystemExit):
        main(["doctor", str(tmp_path / "mine.toml"), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["cause"] == "too few pairs"
    assert said["findings"][0]["how_sure"] == "almost certain"
    assert said["command"].startswith("interp train")


@pytest.mark.parametrize("flags", [(), ("--root", "elsewhere"), ("--root=elsewhere",), ("--no-json",)])
@pytest.mark.parametrize("changes", [(), ("--optimizer.weight-decay", "0.05")])
def test_its_own_flags_stand_beside_changes(flags, changes, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "demo", *changes, *flags])
    assert ended.value.code == 0
    assert ("1. weight decay" in capsys.readouterr().out) is bool(changes)
    with pytest.raises(SystemExit):
        main(["doctor", "demo", *changes, *flags, "--json"])
    assert json.loads(capsys.readouterr().out)["cause"] == ("weight decay" if changes else None)


@pytest.mark.parametrize(
    "given", [["doctor", "nowhere"], ["doctor", "nowhere.toml"], ["doctor", "demo", "--optimizer.lr", "fast"]]
)
def test_what_is_neither_run_nor_configuration_is_refused(given, capsys):
    with pytest.raises(SystemExit) as ended:
        main(given)
    assert ended.value.code == 2
    assert capsys.readouterr().err


@pytest.mark.parametrize("script", [["know.py"], ["trial.py", "--score"]])
def test_what_it_knows_and_how_good_it_is_follow_from_stored_outcomes(script):
    done = subprocess.run(
        [sys.executable, f"docs/doctor/{script[0]}", *script[1:], "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_diagnosis_is_a_value():
    assert isinstance(diagnose(recipe("demo")), Diagnosis)
    assert diagnose(recipe("demo")) == diagnose(recipe("demo"))


@pytest.mark.parametrize("name", ["S3", "x/y mod 11", "x^2+y^2 mod 11", "Z2xZ4", "Z6", "x*y in S3"])
def test_the_law_of_addition_is_not_said_of_other_tasks(name):
    for share in (0.3, 0.6, 0.95):
        found = judge(patient(task=task(name), split__fraction=share))
        assert {"too few pairs", "too many pairs", "budget"}.isdisjoint(one.cause for one in found.findings), str(found)
        assert "no boundary is known for" in str(found)
    assert "% of the pairs" not in str(judge(patient(task=task(name), split__fraction=0.1)))


@pytest.mark.parametrize("name", ["x+y mod 31", "x-y mod 31", "x*y mod 31", "Z31"])
def test_the_law_of_addition_is_said_of_whatever_reordering_makes_one(name):
    found = judge(patient(task=task(name), split__fraction=0.2))
    assert found.cause == "too few pairs"
    assert not any("not tried" in one for one in found.outside)


def test_without_structure_nothing_else_is_advised():
    found = judge(patient(task=task("random labels mod 31, seed 3"), split__fraction=0.1, optimizer__weight_decay=0.0))
    assert [one.cause for one in found.findings] == ["no structure"]


def test_an_operation_that_was_not_tried_is_named():
    found = judge(patient(task=task("S4"), optimizer__weight_decay=0.0))
    assert found.cause == "weight decay"
    assert found.outside == ("task.operation = S4 was not tried",)
    assert found.command is None


def test_networks_that_were_never_tried_are_said_to_be():
    assert "never tried: " in str(diagnose(recipe("power")))
    assert "never tried" not in str(diagnose(recipe("demo")))


def test_a_law_that_knows_a_date_roughly_says_it_roughly() -> None:
    """The example of the guide is what the command says."""
    for path in ({"optimizer.weight_decay": 0.05}, {"steps": 1500}):
        (found, *_) = judge(patient(**{name.replace(".", "__"): value for name, value in path.items()})).findings
        if "steps" in path:
            assert re.search(r"at about step \d,\d00 \(four in five: \d,\d00 to \d,\d00\)", found.evidence), found.evidence
        else:
            said = re.search(r"at about step [\d,]+ \(four in five: [\d,]+ to [\d,]+\)", found.evidence)
            assert said is not None, found.evidence
            assert said[0] in (Path(__file__).parents[1] / "docs/doctor.md").read_text(encoding="utf-8")
