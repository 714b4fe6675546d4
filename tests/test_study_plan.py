"""Plans of studies: which runs they are, how texts and files say it, and everything that is wrong at once."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_study import small_base, small_study

from interp import RunConfig, Study, binary_operation, open_study, recipe
from interp.errors import DataError, UsageError
from interp.studies.plan_files import base_of, plan_from_dict, read_plan
from interp.studies.study import read_study_plan
from interp.studies.study_plan import StudyPlan, field_of, point_name
from interp.studies.vary import Axis, make_axis, read_axis, read_seeds


def test_points_are_the_product_of_axes_and_seeds() -> None:
    plan = StudyPlan(
        recipe("demo"), (read_axis("optimizer.weight-decay=1,2"), read_axis("split.fraction=0.3:0.5:3")), seeds=(3, 5)
    )
    expected = list(product([1.0, 2.0], [0.3, 0.4, 0.5], [3, 5]))
    found = [(p.config.optimizer.weight_decay, p.config.split.fraction, p.seed) for p in plan.points()]
    assert found == expected
    assert all(point.config.threads == 1 for point in plan.points())
    assert all(point.name == point_name(point.config) for point in plan.points())
    assert len({point.name for point in plan.points()}) == len(expected)


@pytest.mark.parametrize(
    ("are", "weights", "split"), [("both", [0, 1], [0, 1]), ("weights", [0, 1], [7, 7]), ("split", [4, 4], [0, 1])]
)
def test_what_a_seed_sets(are: str, weights: list[int], split: list[int]) -> None:
    base = replace(recipe("demo"), seed=4, split=replace(recipe("demo").split, seed=7))
    points = StudyPlan(base, seeds=(0, 1), seeds_are=are).points()  # type: ignore[arg-type]
    assert [point.config.seed for point in points] == weights
    assert [point.config.split.seed for point in points] == split


def test_a_point_keeps_its_name_when_values_are_added() -> None:
    plan = StudyPlan(recipe("demo"), (make_axis("optimizer.weight_decay", [1, 2]),), seeds=(0, 1))
    more = plan.extended([make_axis("optimizer.weight_decay", [2, 3])], [1, 2])
    assert [value[0] for value in more.axes[0].values] == [1, 2, 3]
    assert more.seeds == (0, 1, 2)
    assert {point.name for point in plan.points()} < {point.name for point in more.points()}


def test_none_is_a_value_where_a_field_may_have_none() -> None:
    for axis in (read_axis("optimizer.batch-size=none,8"), make_axis("optimizer.batch_size", ["none", 8])):
        assert axis.values == ((None,), (8,))
    plan = StudyPlan(small_base(), (read_axis("optimizer.batch-size=none,8"),))
    assert [point.config.optimizer.batch_size for point in plan.points()] == [None, 8]
    assert base_of("demo", [read_axis("optimizer.batch-size=none")]).optimizer.batch_size is None
    together = read_axis("optimizer.batch-size+model.activation=none/none,8/relu")
    assert together.values == ((None, "none"), (8, "relu"))  # a text where it takes texts
    with pytest.raises(UsageError, match="weight_decay"):
        StudyPlan(small_base(), (read_axis("optimizer.weight-decay=none,1"),))
    with pytest.raises(UsageError, match="twice"):
        make_axis("optimizer.batch_size", [None, "none"])


def test_an_axis_of_the_base_value_adds_no_run() -> None:
    plan = StudyPlan(recipe("demo"), seeds=(0,))
    wider = plan.extended([make_axis("optimizer.weight_decay", [recipe("demo").optimizer.weight_decay, 3])])
    assert plan.points()[0].name in {point.name for point in wider.points()}


def test_whole_numbers_and_fractions_that_are_equal_are_one_point() -> None:
    one, other = (StudyPlan(recipe("demo"), (make_axis("optimizer.weight_decay", [value]),)).points()[0] for value in (1, 1.0))
    assert one.name == other.name


@given(first=st.integers(0, 50), step=st.integers(1, 9), count=st.integers(2, 30))
def test_ranges_of_whole_numbers_stay_whole(first: int, step: int, count: int) -> None:
    axis = read_axis(f"task.p={first}:{first + step * (count - 1)}:{count}")
    assert [value[0] for value in axis.values] == [first + step * i for i in range(count)]
    assert all(isinstance(value[0], int) for value in axis.values)


@given(st.floats(1e-6, 1e3), st.floats(1.5, 1e3), st.integers(2, 20))
def test_logarithmic_ranges_have_equal_factors(first: float, factor: float, count: int) -> None:
    values = [value[0] for value in read_axis(f"optimizer.lr={first!r}:{first * factor!r}:{count}:log").values]
    assert values[0] == pytest.approx(first, rel=1e-9)
    assert values[-1] == pytest.approx(first * factor, rel=1e-9)
    ratios = [later / earlier for earlier, later in pairwise(values)]
    assert ratios == pytest.approx([factor ** (1 / (count - 1))] * (count - 1), rel=1e-8)


def test_fields_that_move_together() -> None:
    axis = read_axis("task.p+split.fraction=59/0.4,97/0.3")
    points = StudyPlan(recipe("demo"), (axis,)).points()
    assert [(p.config.task.p, p.config.split.fraction) for p in points] == [(59, 0.4), (97, 0.3)]
    assert points[1].values == {"task.p": 97, "split.fraction": 0.3}


@pytest.mark.parametrize("text", ["0-3,7", "0,1,2,3,7", " 0-3 , 7"])
def test_seeds(text: str) -> None:
    assert read_seeds(text) == (0, 1, 2, 3, 7)


@pytest.mark.parametrize("text", ["", "a", "3-1", "-1", "1.5", "0:3", "0-99999999"])
def test_seeds_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="--seeds"):
        read_seeds(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("weight_decay", "expected FIELD=VALUES"),
        ("=1,2", "expected FIELD=VALUES"),
        ("a=", "expected FIELD=VALUES"),
        ("a=1:2", "FIRST:LAST:COUNT"),
        ("a=1:2:1", "COUNT from 2"),
        ("a=1:2:3:lin", "FIRST:LAST:COUNT"),
        ("a=0:2:3:log", "ends > 0"),
        ("a=1:inf:3", "FIRST:LAST:COUNT"),
        ("a=1:2:10000000", "COUNT from 2"),
        ("a=1,2,1", "1 is there twice"),
        ("a+a=1/2", "a is given twice"),
        ("a+b=1/2,3", "expected 2 values"),
        ("a+b=1:2:3", "expected a list"),
    ],
)
def test_axes_that_are_none(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_axis(text)
    assert said in str(caught.value)


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        plan_from_dict(
            {"vary": {"optimizer.wd": [1], "optimizer": [1], "threads": [2], "seed": [1]}, "seeds": [1, 1], "keep": "some"},
            where="plan x.toml",
        )
    text = str(caught.value)
    for said in (
        "did you mean",
        "a table of fields",
        "threads: given as an axis",
        "the seeds set it",
        "each once",
        "keep: given",
    ):
        assert said in text
    with pytest.raises(UsageError) as caught:
        StudyPlan(recipe("demo"), (make_axis("split.fraction", [0.4, 1.5]), make_axis("optimizer.lr", [-1, 0.1])))
    assert "split.fraction: given 1.5" in str(caught.value)
    assert "optimizer.lr: given -1" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 3


def test_a_combination_that_the_configuration_refuses() -> None:
    with pytest.raises(UsageError, match=r"equals_class.*\(at task.equals_sign = False"):
        StudyPlan(recipe("nanda"), (make_axis("task.equals_sign", [True, False]),))


def test_too_many_runs_are_refused_before_they_are_made() -> None:
    axes = tuple(make_axis(name, list(range(1, 2000))) for name in ("steps", "evaluate_every"))
    with pytest.raises(UsageError, match="3,996,001 runs"):
        StudyPlan(recipe("demo"), axes)


@pytest.mark.parametrize("suffix", [".json", ".toml"])
def test_a_plan_file_says_what_differs_from_a_recipe(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"plan{suffix}"
    if suffix == ".toml":
        path.write_text(
            'recipe = "demo"\nseeds = "0-2"\nkeep = [100]\n[base]\nsteps = 300\n[base.optimizer]\nlr = 2e-3\n'
            '[vary]\n"split.fraction" = "0.3:0.5:3"\n'
        )
    else:
        values = {"recipe": "demo", "seeds": "0-2", "keep": [100], "base": {"steps": 300, "optimizer": {"lr": 2e-3}}}
        path.write_text(json.dumps({**values, "vary": {"split.fraction": "0.3:0.5:3"}}))
    plan = read_plan(path)
    assert (plan.base.steps, plan.base.optimizer.lr, plan.base.optimizer.weight_decay) == (300, 2e-3, 2.0)
    assert plan.keep == (100,)
    assert len(plan.points()) == 9


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "cannot be read"),
        ("vary = 3", "vary: given 3"),
        ("wary = 3", "did you mean 'vary'"),
        ("format = 9", "given format 9"),
        ("base = 3", "base: given 3"),
        ('recipe = "demi"', "did you mean 'demo'"),
        ("[vary]\nsteps = 3", "expected a list"),
        ('seeds = "x"', "--seeds: given 'x'"),
    ],
)
def test_plan_files_that_are_none(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_plan(path)
    assert said in str(caught.value)
    assert "plan.toml" in str(caught.value)


def test_the_shipped_plans_are_plans() -> None:
    plans = sorted((Path(__file__).parents[1] / "studies").glob("*.toml"))
    assert plans
    for path in plans:
        assert read_plan(path).points(), path


def test_a_study_that_is_there_opens_and_may_only_grow(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    study.save()
    assert open_study(study.folder).plan == study.plan
    assert open_study(str(study.folder)).points == study.points
    small_study(tmp_path, seeds=range(3)).save()
    assert open_study(study.folder).plan.seeds == (0, 1, 2)
    before = (study.folder / "study.json").read_bytes()
    for changes, said in (
        ({"seeds": range(1)}, "seeds: given"),
        ({"seeds": range(3), "base": small_base(steps=13)}, "base.steps: given 13, there 12"),
        ({"seeds": range(3), "keep": "all"}, "keep: given 'all', there 'ends'"),
    ):
        with pytest.raises(UsageError, match=said):
            small_study(tmp_path, **changes).save()
    assert (study.folder / "study.json").read_bytes() == before


def test_a_name_that_is_taken_or_none(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not a study"):
        small_study(tmp_path).save()
    with pytest.raises(UsageError, match="expected a plain name"):
        small_study(tmp_path, name="../x")
    with pytest.raises(UsageError, match="no study at"):
        open_study(tmp_path / "none")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1, "vary": {"x": [1]}}', '{"base": {"steps": "many"}}'])
def test_a_plan_that_was_damaged_on_disk(tmp_path: Path, text: str) -> None:
    study = small_study(tmp_path)
    study.save()
    (study.folder / "study.json").write_text(text)
    with pytest.raises((DataError, UsageError), match=r"study\.json"):
        read_study_plan(study.folder)


def test_a_table_as_a_task_is_kept_with_the_study(tmp_path: Path) -> None:
    table = binary_operation("max", [[max(a, b) for b in range(5)] for a in range(5)])
    study = small_study(tmp_path, base=small_base(task=table), vary={"optimizer.lr": [1e-3, 1e-2]})
    study.save()
    assert open_study(study.folder).points == study.points
    with pytest.raises(UsageError, match="the task is a table"):
        small_study(tmp_path, base=small_base(task=table), vary={"task.p": [5]}, name="other")


def test_fixed_fields_of_the_command_line() -> None:
    base = base_of("demo", [read_axis("task.p=23"), read_axis("optimizer.grokfast-lambda=2")])
    assert field_of(base, "task.p") == 23
    assert field_of(base, "optimizer.grokfast_lambda") == 2.0
    with pytest.raises(UsageError, match="--vary makes an axis"):
        base_of("demo", [read_axis("task.p=23,29")])
    with pytest.raises(UsageError, match="did you mean"):
        base_of("demo", [read_axis("task.q=23")])


def test_planning_needs_no_torch() -> None:
    code = (
        "import sys; from interp.studies.study_plan import StudyPlan; from interp.config.recipes import recipe;"
        "StudyPlan(recipe('demo')); assert 'torch' not in sys.modules and 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_axes_are_values() -> None:
    assert Axis(("a",), ((1,), (2,))) == make_axis("a", [1, 2])
    assert make_axis("a", [1]).with_values([(1,), (2,)]) == make_axis("a", [1, 2])
    with pytest.raises(UsageError, match="expected a RunConfig"):
        Study("demo")  # type: ignore[arg-type]
    assert isinstance(Study(recipe("demo")).base, RunConfig)


def test_a_study_varies_what_is_changed_in_the_middle_of_a_run() -> None:
    plan = read_plan(Path(__file__).parents[1] / "studies" / "norm-clamp.toml")
    clamps = [f"memorized:norm={rho}" for rho in (0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85)]
    assert {point.config.changes for point in plan.points()} == {(), *((clamp,) for clamp in clamps)}
    assert len(plan.points()) == 80
    assert list(dict.fromkeys(point.values["changes"] for point in plan.points())) == ["none", *clamps]
    several = Study(recipe("demo"), vary={"changes": [["9:noise=1.0/0", "20:optimizer.lr=0.01"]]}).plan.points()
    assert several[0].values == {"changes": "9:noise=1.0/0; 20:optimizer.lr=0.01"}


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        (range(1), "1 cell of 1 seed (both weights and split), 1 run)"),
        (range(2), "1 cell of 2 seeds (both weights and split), 2 runs)"),
    ],
)
def test_a_study_counts_what_it_has(seeds: range, said: str) -> None:
    assert repr(Study(recipe("demo"), seeds=seeds)).endswith(said)
