"""Splits of other people's runs: drawn by everybody's rules, listed in files, told by the losses; losses in their places."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from foreign import official_state, save
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import memorizer, random_weights
from safetensors.numpy import save_file

from interp.cli import main
from interp.errors import DataError, UsageError
from interp.interop import Known, import_run, load_run
from interp.interop.split import pair_losses
from interp.interop.split_file import read_split
from interp.interop.split_search import clear, clearness, profile, search, shortest_fraction, supports
from interp.networks.one_layer import Weights
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SPLIT_RULES, Split, SplitConfig, shuffled

P = 11
TASK = ModularTask(P)
SPLIT = SplitConfig("python", seed=3, fraction=0.3)


def official_model(seed: int, p: int = P) -> Weights:
    return random_weights(p, biases=["b_in", "b_out"], equals_class=True, n_heads=2, d_head=3, d_model=6, d_mlp=8, seed=seed)


def losses(weights: Weights, split: Split, task: ModularTask = TASK) -> tuple[float, float]:
    every = pair_losses(weights, task)
    return float(every[split.train].mean()), float(every[split.test].mean())


# Rules


@pytest.mark.parametrize("seed", [0, 1, 598, 2**32 - 1])
def test_rules_draw_as_the_libraries_do(seed: int) -> None:
    n, n_train = P * P, 36
    np.random.seed(seed)  # noqa: NPY002 # what other people's code does
    permuted = np.random.permutation(n)  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    np.random.shuffle(listed := np.arange(n))  # noqa: NPY002
    assert permuted.tolist() == listed.tolist()
    split = SplitConfig("numpy", seed, 0.3).draw(TASK)
    assert [*split.train, *split.test] == permuted.tolist()
    assert len(split.train) == n_train
    np.testing.assert_array_equal(
        SplitConfig("numpy-generator", seed, 0.3).draw(TASK).train, np.random.default_rng(seed).permutation(n)[:n_train]
    )
    torch.manual_seed(seed)
    np.testing.assert_array_equal(SplitConfig("torch", seed, 0.3).draw(TASK).train, torch.randperm(n)[:n_train])
    official = list(range(n))
    random.seed(seed)
    random.shuffle(official)
    assert SplitConfig("python", seed, 0.3).draw(TASK).train.tolist() == official[:n_train]


@pytest.mark.filterwarnings("ignore:Length of split")
@given(st.integers(2, 20), st.floats(0.02, 0.98), st.integers(0, 2**31))
@settings(max_examples=60)
def test_random_split_draws_as_torch_does(p: int, fraction: float, seed: int) -> None:
    config, n = SplitConfig("random-split", seed, fraction), p * p
    parts = torch.utils.data.random_split(range(n), [fraction, 1 - fraction], generator=torch.Generator().manual_seed(seed))
    if not all(len(part) for part in parts):
        return
    split = config.draw(ModularTask(p))
    assert [split.train.tolist(), split.test.tolist()] == [list(part.indices) for part in parts]


def test_train_test_split_draws_as_scikit_learn_does() -> None:
    # train_test_split(range(49), train_size=fraction, random_state=seed) of scikit-learn 1.9.1.
    known = json.loads((Path(__file__).parent / "fixtures" / "train_test_split.json").read_text())
    for case in known:
        split = SplitConfig("sklearn", case["seed"], case["fraction"]).draw(ModularTask(7))
        assert (split.train.tolist(), split.test.tolist()) == (case["train"], case["test"])


@pytest.mark.parametrize("rule", ["numpy", "sklearn"])
def test_seeds_that_numpy_cannot_take_are_refused(rule: str) -> None:
    with pytest.raises(UsageError, match=r"split\.seed: given 4294967296, expected an integer in 0\.\.2\^32-1"):
        SplitConfig(rule, 2**32)
    assert SplitConfig("torch", 2**32).seed == 2**32


@given(st.sampled_from(SPLIT_RULES), st.integers(0, 2**32 - 1), st.integers(2, 400))
def test_every_rule_shuffles(rule: str, seed: int, n: int) -> None:
    assert sorted(shuffled(rule, seed, n).tolist()) == list(range(n))


def test_every_count_of_small_tables_has_a_fraction() -> None:
    for p in range(2, 24):
        for count in range(1, p * p):
            assert SplitConfig(fraction=shortest_fraction(count, p * p)).count(p * p) == count


@given(st.integers(2, 200), st.data())
def test_the_shortest_fraction_draws_its_count(p: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, p * p - 1))
    assert SplitConfig(fraction=shortest_fraction(count, p * p)).count(p * p) == count


def test_the_command_line_names_every_rule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = save(official_state(memorizer(SplitConfig("numpy", 4, 0.3).draw(TASK).train, P)), tmp_path / "model.pth")
    for rule, code in (("numpy", 0), ("numpi", 2)):
        with pytest.raises(SystemExit) as ended:
            main(["import", str(path), "--root", str(tmp_path / "runs"), "--split", f"{rule}:4:0.3"])
        assert ended.value.code == code
    said = capsys.readouterr().err
    assert all(rule in said for rule in SPLIT_RULES)


# Told by the losses on the single pairs

# Typical losses on train and test pairs, and the spread of their logarithms.
STAGES = {
    "memorizing": (1.0, 8.0, 0.8),
    "memorized": (1e-4, 15.0, 1.0),
    "cleaning up": (1e-6, 1e-3, 1.5),
    "grokked": (1e-8, 5e-7, 1.5),
}


def planted(split: Split, n: int, stage: tuple[float, float, float], seed: int = 0) -> np.ndarray:
    train, test, spread = stage
    generator = np.random.default_rng(seed)
    made = np.empty(n)
    made[split.train] = train * np.exp(spread * generator.standard_normal(len(split.train)))
    made[split.test] = test * np.exp(spread * generator.standard_normal(len(split.test)))
    return made


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("rule", SPLIT_RULES)
def test_the_split_is_found_at_every_stage_among_all_rules_seeds_and_fractions(stage: str, rule: str) -> None:
    task = ModularTask(29)
    for seed, fraction in ((7, 0.3), (93, 0.8), (598, 0.45)):
        truth = SplitConfig(rule, seed, fraction)
        made = planted(truth.draw(task), task.n_pairs, STAGES[stage], seed=seed)
        found = search(made)
        assert found.split is not None, found.reason
        # Rules that cut one order a pair apart are told from one another only where each pair tells.
        assert len(np.setxor1d(found.split.draw(task).train, truth.draw(task).train)) <= (rule in ("torch", "random-split"))
        assert supports(made, truth)
        assert clearness(made, truth.draw(task)) > clear(task.n_pairs)
        wrong = [SplitConfig(rule, seed, fraction) for seed in range(1000, 1100)]
        assert not any(supports(made, each) for each in wrong)
        assert not supports(made, SplitConfig(rule, seed, fraction - 0.05))
        assert not supports(made, SplitConfig(rule, seed, fraction + 0.05))


def test_the_published_size_takes_seconds_and_is_exact() -> None:
    task, truth = ModularTask(113), SplitConfig("python", 1, 0.3)
    assert search(planted(truth.draw(task), task.n_pairs, (1e-8, 5e-7, 1.5))).split == truth


@pytest.mark.parametrize("stage", [(4.7, 4.7, 0.3), (1e-7, 1.05e-7, 1.5)])
def test_no_split_is_found_where_all_pairs_are_alike(stage: tuple[float, float, float]) -> None:
    task = ModularTask(29)
    for seed in range(20):
        found = search(planted(SplitConfig("python", seed, 0.3).draw(task), task.n_pairs, stage, seed=seed))
        assert found.split is None
        assert "no seed fits" in found.reason


def test_wrong_seeds_are_hardly_ever_found() -> None:
    """The right split is by no known rule: whatever is found is wrong. z is standard normal along each of the orders."""
    n, found = 29 * 29, 0
    for seed in range(40):
        order = np.random.default_rng(10_000 + seed).permutation(n)
        made = planted(Split(order[:252], order[252:]), n, STAGES["memorized"], seed=seed)
        found += search(made, seeds=range(25)).split is not None
    assert found == 0  # 5,000 orders at all fractions


def test_a_lead_over_the_other_orders_is_not_enough() -> None:
    """The right order, hardly told: z is 5 to 6.5, as the greatest of a million wrong ones may be."""
    task, truth, seen = ModularTask(29), SplitConfig("python", 7, 0.3), 0
    for percent in range(20, 60):
        made = planted(truth.draw(task), task.n_pairs, (1.0, 1 + percent / 100, 1.0))
        seen += 5 < clearness(made, truth.draw(task)) < 6.5 and search(made, seeds=(7,)).split is None
        assert (search(made, seeds=(7,)).split is None) == (profile(made, "python", 7).best < 7)
    assert seen > 3


def test_few_seeds_find_nothing_by_chance_either() -> None:
    n = 29 * 29
    for seed in range(300):
        order = np.random.default_rng(20_000 + seed).permutation(n)
        made = planted(Split(order[:252], order[252:]), n, STAGES["memorized"], seed=seed)
        assert search(made, seeds=(seed,)).split is None


def test_z_is_a_permutation_test() -> None:
    logs = np.log(planted(SplitConfig("python", 0, 0.3).draw(TASK), TASK.n_pairs, STAGES["memorized"]))
    n, k = len(logs), 36
    generator = np.random.default_rng(1)
    means = np.array([generator.permutation(logs)[:k].mean() for _ in range(20_000)])
    along = profile(np.exp(logs), "numpy", 5)
    first = logs[shuffled("numpy", 5, n)][:k].mean()
    assert along.z[k - 1] == pytest.approx((means.mean() - first) / means.std(), abs=0.05)
    left, right = along.logs[:k], along.logs[k:]
    around = [((part - part.mean()) ** 2).sum() for part in (left, right)]
    best = int(along.likelihood.argmax()) + 1
    best_around = sum(((part - part.mean()) ** 2).sum() for part in (along.logs[:best], along.logs[best:]))
    assert along.likelihood[k - 1] == pytest.approx(-n / 2 * np.log(sum(around) / best_around))


def test_a_search_without_seeds_is_refused() -> None:
    with pytest.raises(UsageError, match="given no seeds"):
        search(np.ones(9), seeds=())


# Imported


def moving(model: Weights, *, rate: float, every: int = 10, count: int = 201, config: dict[str, object]) -> dict[str, object]:
    """An official run whose losses shrink by a rate with each update, test losses every few of them; the state had one more."""
    train, test = losses(model, SPLIT.draw(TASK))
    steps = np.arange(count)
    return {
        "model": official_state(model),
        "epoch": count - 1,
        "train_losses": (train * np.exp(rate * (count - steps))).tolist(),
        "test_losses": (test * np.exp(rate * (count - steps[::every]))).tolist(),
        "config": config,
    }


@pytest.mark.parametrize("rate", [0.025, -0.025, 0.06])
def test_a_true_split_is_taken_where_the_losses_still_move(tmp_path: Path, rate: float) -> None:
    model = memorizer(SPLIT.draw(TASK).train, P)
    # With test losses of every tenth update the published one is up to ten updates old: 28 % off, or 80 %.
    path = save(moving(model, rate=rate, every=8, count=200, config={"seed": 3, "frac_train": 0.3}), tmp_path / "run.pth")
    run = load_run(path)
    assert run.config.split == SPLIT
    given_too = load_run(path, known=Known(split=SPLIT))
    assert (given_too.refuted, given_too.config.split) == ("", SPLIT)
    assert import_run(path, tmp_path / "runs", known=Known(split=SPLIT)).config.split == SPLIT
    np.testing.assert_array_equal(run.split.train, SPLIT.draw(TASK).train)


@pytest.mark.parametrize("rate", [0.025, 0.06])
def test_losses_carried_on_agree_with_a_model_whose_pairs_do_not_tell(tmp_path: Path, rate: float) -> None:
    path = save(
        moving(official_model(0), rate=rate, every=8, count=200, config={"seed": 3, "frac_train": 0.3}), tmp_path / "run.pth"
    )
    run = load_run(path)
    assert run.config.split == SPLIT
    assert "split python:3:0.3: its losses agree with the published ones within 0.00%" in run.notes
    assert any("do not tell python:3:0.3 from other splits" in note for note in run.notes)
    assert not load_run(path, known=Known(split=SPLIT)).refuted


def test_a_wrong_split_is_refused_with_the_right_one_named_and_can_be_insisted_on(tmp_path: Path) -> None:
    model = memorizer(SPLIT.draw(TASK).train, P)
    path = save(official_state(model), tmp_path / "bare.pth")  # without any published loss
    for wrong in (SplitConfig("python", 4, 0.3), SplitConfig("torch", 3, 0.3), SplitConfig("python", 3, 0.4)):
        with pytest.raises(
            UsageError,
            match=r"as given: the losses on the single pairs tell another, python:3:0\.3 .*insist on it .*--trust-split",
        ):
            import_run(path, tmp_path / "runs", known=Known(split=wrong))
        assert not (tmp_path / "runs").exists()
        run = load_run(path, known=Known(split=wrong, trust_split=True))
        assert (run.refuted, run.config.split) == ("", wrong)
        assert any(
            re.match(r"split \S+, as given and insisted on: the losses on the single pairs tell another", note)
            for note in run.notes
        )
    insisted = import_run(path, tmp_path / "runs", known=Known(split=wrong, trust_split=True))
    assert insisted.config.split == wrong
    assert any("insisted on" in note for note in insisted.provenance["notes"])


@pytest.mark.parametrize("rule", SPLIT_RULES)
def test_a_bare_model_comes_in_with_the_split_that_its_losses_tell(tmp_path: Path, rule: str) -> None:
    truth = SplitConfig(rule, 42, 0.4)
    model = memorizer(truth.draw(TASK).train, P)
    run = load_run(save(official_state(model), tmp_path / "bare.pth"))
    assert run.config.split == truth
    assert any(f"split {rule}:42:0.4: found: the losses on the single pairs tell it (z = " in note for note in run.notes)


def test_a_split_that_the_last_model_forgot_is_told_by_an_earlier_one(tmp_path: Path) -> None:
    memorized, level = memorizer(SPLIT.draw(TASK).train, P), memorizer(np.arange(P * P), P)
    models = (memorized, memorized, level, level)
    states = [{name: tensor.clone() for name, tensor in official_state(model).items()} for model in models]
    run = load_run(save({"state_dicts": states, "epochs": [0, 10, 20, 30]}, tmp_path / "run.pth"))
    assert run.config.split == SPLIT
    assert load_run(save({"state_dicts": states[2:], "epochs": [0, 10]}, tmp_path / "run.pth")).split is None


def test_a_seed_of_the_configuration_is_tried_beyond_the_usual_ones(tmp_path: Path) -> None:
    truth = SplitConfig("numpy", 77_123, 0.37)
    model = memorizer(truth.draw(TASK).train, P)
    content = {"model": official_state(model), "config": {"seed": 77_123, "frac_train": 0.37}, "epoch": 1}
    assert load_run(save(content, tmp_path / "run.pth")).config.split == truth


# Losses in their places


def single(**more: object) -> dict[str, object]:
    return {"model": official_state(official_model(0)), **more}


def series(epochs: list[int], **more: object) -> dict[str, object]:
    states = [official_state(official_model(seed)) for seed in range(len(epochs))]
    return {"state_dicts": states, "epochs": epochs, **more}


def read(content: dict[str, object], tmp_path: Path):
    return load_run(save(content, tmp_path / "run.pth"), known=Known(split=SPLIT, trust_split=True))


def test_losses_as_many_as_the_saved_epochs_stand_at_them(tmp_path: Path) -> None:
    epochs = [0, 1000, 2000, 3000, 4000]
    run = read(series(epochs, train_losses=[5.0, 4, 3, 2, 1], test_losses=[6.0, 5, 4, 3, 2]), tmp_path)
    assert run.train_losses == dict(zip(epochs, [5.0, 4, 3, 2, 1], strict=True))
    assert [*run.test_losses] == epochs
    assert [row["step"] for row in run.history_rows()] == epochs
    assert "train_losses: 5, as many as the epochs of the file, which they were placed at" in run.notes


def test_losses_stand_at_a_list_of_epochs_of_their_own(tmp_path: Path) -> None:
    run = read(
        series(
            [0, 500], train_losses=[3.0, 2, 1], log_epochs=[0, 250, 500], test_losses=[4.0, 3], test_epochs=torch.tensor([10, 20])
        ),
        tmp_path,
    )
    assert (run.train_losses, run.test_losses) == ({0: 3.0, 250: 2.0, 500: 1.0}, {10: 4.0, 20: 3.0})


@pytest.mark.parametrize("count", [3, 7, 300])
def test_losses_that_fit_nothing_are_kept_apart(tmp_path: Path, count: int) -> None:
    run = read(series([0, 1000, 2000, 3000, 4000], train_losses=[2.5] * (count - 1) + [1.5], test_losses=[3.0] * 4), tmp_path)
    assert (run.train_losses, run.test_losses) == ({}, {})
    assert [row["step"] for row in run.history_rows()] == [0, 1000, 2000, 3000, 4000]  # what is measured, nothing invented
    said = (
        f"train_losses: {count}, which fit no epochs (the epochs go to 4000): kept apart, not placed in time (first 2.5, last 1.5"
    )
    assert any(note.startswith(said) for note in run.provenance["notes"])
    assert any(note.startswith("test_losses: 4, which fit no epochs") for note in run.notes)


@pytest.mark.parametrize(
    "stored",
    [
        {"train_loss": [3.0, 2.0, 1.0], "val_loss": [4.0, 3.5, 3.0]},
        {"train_loss_history": [3.0, 2.0, 1.0], "validation_losses": [4.0, 3.5, 3.0]},
        {"history": {"loss": [3.0, 2.0, 1.0], "val_loss": [4.0, 3.5, 3.0]}},
        {"metrics": {"train/loss": (3.0, 2.0, 1.0), "test/loss": [4.0, 3.5, 3.0], "epoch": [0, 5, 9]}},
    ],
)
def test_losses_are_known_by_any_of_their_names(tmp_path: Path, stored: dict[str, object]) -> None:
    run = read(series([0, 5, 9], **stored) if "metrics" not in stored else series([0, 9], **stored), tmp_path)
    assert (run.train_losses, run.test_losses) == ({0: 3.0, 5: 2.0, 9: 1.0}, {0: 4.0, 5: 3.5, 9: 3.0})
    assert not any("not read from the file" in note for note in run.notes)


def test_two_lists_of_epochs_of_one_length_decide_nothing(tmp_path: Path) -> None:
    run = read(series([0, 10], train_losses=[2.0, 1.0], log_steps=[5, 6]), tmp_path)
    assert run.train_losses == {}
    assert any("epochs and log_steps of the file are all as many, and differ" in note for note in run.notes)


@pytest.mark.parametrize(("last", "count"), [(4000, 4001), (4000, 4000), (3900, 4000)])
def test_losses_of_every_epoch_stand_at_every_epoch(tmp_path: Path, last: int, count: int) -> None:
    run = read(series([*range(0, last + 1, 100)][-5:], train_losses=[1.0] * count), tmp_path)
    assert [*run.train_losses] == [*range(count)]


def test_losses_of_as_many_epochs_as_the_configuration_names_stand_at_every_epoch(tmp_path: Path) -> None:
    run = read(single(epoch=50, train_losses=[1.0] * 300, config={"num_epochs": 300}), tmp_path)
    assert [*run.train_losses] == [*range(300)]
    assert read(single(epoch=50, train_losses=[1.0] * 300), tmp_path).train_losses == {}


def test_the_step_of_a_single_state_is_the_number_of_its_losses(tmp_path: Path) -> None:
    run = read(single(train_losses=[*np.linspace(3, 1, 700)]), tmp_path)
    assert [step for step, _ in run.checkpoints] == [700]
    assert "step 700: the file has so many training losses, one for each update" in run.notes
    rows = [*run.history_rows()]
    assert [rows[0], rows[-1]["step"], len(rows)] == [{"step": 0, "train_loss": 3.0}, 700, 701]
    assert import_run(tmp_path / "run.pth", tmp_path / "runs", known=Known(split=SPLIT, trust_split=True)).steps == (700,)
    run = read(single(train_losses=[3.0, 2, 1], epochs=[0, 100, 200]), tmp_path)
    assert [step for step, _ in run.checkpoints] == [200]
    assert "step 200: the last epoch of its training losses; the file names no other" in run.notes
    assert [step for step, _ in read(single(), tmp_path).checkpoints] == [0]


# Split from a file

PAIRS = TASK.pairs
ORDER = shuffled("python", 3, P * P)
TRAIN, TEST = ORDER[:36], ORDER[36:]


def pairs(indices: np.ndarray) -> list[list[int]]:
    return PAIRS[indices].tolist()


def files(folder: Path) -> list[Path]:
    """The same split in every form, train alone or train and test."""
    mask = np.isin(np.arange(P * P), TRAIN)
    texts = {
        "indices.json": json.dumps(TRAIN.tolist()),
        "pairs.json": json.dumps(pairs(TRAIN)),
        "both.json": json.dumps({"train": pairs(TRAIN), "test": TEST.tolist()}),
        "named.json": json.dumps({"train_indices": TRAIN.tolist(), "test_indices": TEST.tolist(), "seed": 3}),
        "pairs.csv": "a,b\n" + "".join(f"{a},{b}\n" for a, b in pairs(TRAIN)),
        "answers.csv": "".join(f"{a},{b},{(a + b) % P}\n" for a, b in pairs(TRAIN)),
        "indices.csv": "index\n" + "".join(f"{i}\n" for i in TRAIN),
        "tabs.tsv": "a\tb\n" + "".join(f"{a}\t{b}\n" for a, b in pairs(TRAIN)),
        "both.csv": "a,b,split\n" + "".join(f"{a},{b},{'train' if a * P + b in TRAIN else 'test'}\n" for a, b in pairs(ORDER)),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    np.save(folder / "indices.npy", TRAIN)
    np.save(folder / "pairs.npy", PAIRS[TRAIN].astype(np.int32))
    np.save(folder / "floats.npy", PAIRS[TRAIN].astype(np.float32))
    np.save(folder / "mask.npy", mask)
    np.save(folder / "square.npy", mask.reshape(P, P))
    np.savez(folder / "both.npz", train=TRAIN, test=TEST)
    save(torch.from_numpy(TRAIN), folder / "indices.pt")
    save({"train": torch.tensor([[a, b, P] for a, b in pairs(TRAIN)]), "test": pairs(TEST)}, folder / "both.pt")
    save_file({"train": TRAIN, "test": TEST}, folder / "both.safetensors")
    return sorted(folder.iterdir())


def test_a_split_is_read_from_every_form(tmp_path: Path) -> None:
    made = files(tmp_path)
    assert len(made) == 18
    for path in made:
        split = read_split(path, TASK)
        assert sorted(split.train) == sorted(TRAIN), path.name
        assert sorted(split.test) == sorted(TEST), path.name
        if "mask" not in path.name and "square" not in path.name:
            np.testing.assert_array_equal(split.train, TRAIN)


def test_a_listed_split_comes_in_with_its_rule_or_without(tmp_path: Path) -> None:
    path = save(official_state(memorizer(TRAIN, P)), tmp_path / "model.pth")
    (tmp_path / "split.json").write_text(json.dumps(TRAIN.tolist()))
    run = load_run(path, known=Known(split_file=tmp_path / "split.json"))
    np.testing.assert_array_equal(run.split.train, TRAIN)
    assert any("the split is a list of 36 training pairs; seed and rule" in note for note in run.notes)  # seed 3 is no usual one
    (tmp_path / "split.json").write_text(json.dumps(SplitConfig("sklearn", 42, 0.3).draw(TASK).train.tolist()))
    with pytest.raises(
        UsageError, match=r"split split\.json, as given: the losses on the single pairs tell another, python:3:0\.3"
    ):
        import_run(path, tmp_path / "runs", known=Known(split_file=tmp_path / "split.json"))
    run = load_run(path, known=Known(split_file=tmp_path / "split.json", trust_split=True))
    assert run.config.split == SplitConfig("sklearn", 42, 0.3)
    with pytest.raises(UsageError, match=r"given a rule and a file \(--split and --split-file\)"):
        load_run(path, known=Known(split=SPLIT, split_file=tmp_path / "split.json"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("s.json", json.dumps([5, 9, 121]), r"row 2 is 121, expected an index in 0\.\.120 \(p = 11\); is it the split of"),
        ("s.json", json.dumps([5, -1]), "row 1 is -1"),
        ("s.json", json.dumps([[0, 1], [3, 11]]), r"row 1 is \[3, 11\], expected numbers in 0\.\.10"),
        ("s.json", json.dumps([5, 9, 5]), r"row 2 is the pair \(0, 5\), which row 0 of train is too"),
        ("s.json", json.dumps({"train": [5, 9], "test": [1, 9]}), r"test: row 1 is the pair \(0, 9\), which row 1 of train"),
        ("s.json", json.dumps({"train": [5, 9], "test": [1]}), r"2 train and 1 test pairs, expected all 121 .*\(0, 0\) is in"),
        ("s.json", json.dumps([0, 1.5]), r"row 1 is 1\.5, expected integers"),
        ("s.json", json.dumps([[0, 1], [2]]), r"row 1 is \[2\], expected rows of one form, such as \[0, 1\]"),
        ("s.json", json.dumps([[0, 1, 1], [0, 2, 9]]), "row 1 has 9 in third place, expected 11 .* or the answer, 2"),
        ("s.json", json.dumps([0, "x"]), "row 1 is 'x'"),
        ("s.json", json.dumps([0, [1]]), r"row 1 is \[1\]"),
        ("s.json", json.dumps([]), "given 0 train pairs of 121"),
        ("s.json", json.dumps([*range(121)]), "given 121 train pairs of 121"),
        ("s.json", json.dumps({"val": [1]}), "given 'val', expected 'train'"),
        ("s.json", json.dumps({"train": 5}), "train: given int, expected a list"),
        ("s.json", json.dumps(7), "given int, expected a list of pairs"),
        ("s.json", "[1, 2", "not a whole .json file"),
        ("s.json", "[" * 100_000, "not a whole .json file"),
        ("s.csv", "a,b\n0,1\n2,x\n", "line 3: given '2, x', expected 2 integers"),
        ("s.csv", "a,b\n0,1\n2\n", "line 3: given '2', expected 2 integers"),
        ("s.csv", "left,right\n0,1\n", "given columns left, right, expected a and b"),
        ("s.csv", "a,b,split\n0,1,val\n", "line 2: given 'val', expected train or test"),
        ("s.xyz", "0,1", "given NoneType, expected a list of pairs"),
    ],
)  # fmt: skip
def test_a_wrong_list_is_refused_with_row_and_value(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message) as raised:
        read_split(tmp_path / name, TASK)
    assert str(raised.value).startswith(str(tmp_path / name))


def test_arrays_that_hold_code_or_claim_too_much_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "object.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"not a whole \.npy file"):
        read_split(tmp_path / "object.npy", TASK)
    np.save(tmp_path / "huge.npy", TRAIN)
    content = (tmp_path / "huge.npy").read_bytes().replace(b"(36,)", b"(9999999999,)".ljust(5))
    (tmp_path / "huge.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"not a whole \.npy file"):
        read_split(tmp_path / "huge.npy", TASK)
    np.save(tmp_path / "mask.npy", np.zeros(49, dtype=bool))
    with pytest.raises(DataError, match=r"given \(49,\) truth values, expected one for each of the 121 pairs"):
        read_split(tmp_path / "mask.npy", TASK)
    with pytest.raises(UsageError, match="does not exist; expected one that lists pairs"):
        read_split(tmp_path / "none.json", TASK)


def test_losses_that_are_alike_up_to_rounding_tell_no_split() -> None:
    equal = np.full(576, 0.015789772242450904)  # the mean of their logarithms is off in the last digit
    assert profile(equal, "torch", 2).best == 0
    assert not supports(equal * (1 + 1e-15 * (np.arange(576) < 288)), SplitConfig("torch", 2, 0.4))
    assert clearness(equal * (1 + 1e-3 * (np.arange(576) >= 230)), Split(np.arange(230), np.arange(230, 576))) > 20
