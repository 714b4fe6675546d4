"""Harmonics: projectors of groups, the order of rows and classes, and measures that are exact on planted group circuits."""

from __future__ import annotations

import math

import groups
import numpy as np
import pytest
import torch
from planted import MODULI, labels, plain_loss, random_logits, some_frequencies

from interp.errors import UsageError
from interp.harmonics import (
    CyclicHarmonics,
    GroupHarmonics,
    Harmonics,
    addition,
    line_means,
    multiplication,
    positions,
    subtraction,
    take_classes,
    take_logits,
    take_rows,
)
from interp.measures import (
    embedding_spectrum,
    excluded_logits,
    excluded_loss,
    excluded_loss_single,
    key_frequencies_from_matrix,
    loss_from_unseen,
    restricted_logits,
    restricted_loss,
    restricted_loss_neurons,
)
from interp.tasks.modular import ModularTask
from interp.tasks.task import TableTask, binary_operation


def close(found: torch.Tensor, expected: torch.Tensor | float) -> bool:
    return torch.allclose(found, torch.as_tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-9)


def as_table(cyclic: CyclicHarmonics) -> GroupHarmonics:
    """The same harmonics, as a table of projectors."""
    return GroupHarmonics(cyclic.line, {k: cyclic.projector([k]) for k in cyclic.names}, cyclic.rows, cyclic.classes)


ALL = [addition(2), addition(7), addition(12), subtraction(9), multiplication(7), groups.harmonics(3), groups.harmonics(4)]

PLANTED = [(3, ["standard"]), (4, ["standard"]), (4, ["sign", "two"]), (4, ["standard x sign", "two"])]


@pytest.mark.parametrize("harmonics", ALL, ids=lambda one: f"{type(one).__name__}{one.n}")
def test_projectors_resolve_the_identity(harmonics):
    assert isinstance(harmonics, Harmonics)
    constant = torch.full((harmonics.n, harmonics.n), 1 / harmonics.n, dtype=torch.float64)
    assert close(harmonics.projector(harmonics.names) + constant, torch.eye(harmonics.n))
    for name in harmonics.names:
        projector = harmonics.projector([name])
        assert close(projector @ projector, projector)
        assert close(projector, projector.T)
        assert close(projector @ constant, torch.zeros_like(constant))


@pytest.mark.parametrize("harmonics", ALL, ids=lambda one: f"{type(one).__name__}{one.n}")
def test_norms_are_those_of_the_projections(harmonics):
    x = torch.randn(harmonics.n, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = [(harmonics.projector([name]) @ x).norm().item() for name in harmonics.names]
    assert harmonics.norms(x).tolist() == pytest.approx(expected)
    assert harmonics.norms(x).square().sum() + harmonics.n * x.mean(dim=0).square().sum() == pytest.approx(
        x.square().sum().item()
    )


@pytest.mark.parametrize("n", [3, 4])
def test_schur_orthogonality_and_the_sum_of_squared_dimensions(n):
    order, dimensions = len(groups.elements(n)), [values[(1,) * n] for values in groups.CHARACTERS[n].values()]
    assert 1 + sum(d * d for d in dimensions) == order
    ranks = [groups.harmonics(n).projector([name]).trace().item() for name in groups.CHARACTERS[n]]
    assert ranks == pytest.approx([d * d for d in dimensions])


@pytest.mark.parametrize(
    ("n", "keys"), [(3, ["standard"]), (4, ["standard"]), (4, ["sign", "two"]), (4, ["standard x sign", "two"])]
)
def test_progress_measures_are_exact_on_a_planted_group_circuit(n, keys):
    harmonics, logits = groups.harmonics(n), groups.character_logits(n, keys, amplitude=1.7)
    answers, others = harmonics.line, [name for name in harmonics.names if name not in keys]
    full, how = plain_loss(logits, answers), {"harmonics": harmonics, "keys": keys}
    assert close(restricted_loss(logits, answers, **how), full)
    assert close(excluded_loss(logits, answers, **how), math.log(harmonics.n))
    assert close(restricted_loss(logits, answers, harmonics=harmonics, keys=others), math.log(harmonics.n))
    assert close(excluded_loss(logits, answers, harmonics=harmonics, keys=others), full)
    assert list(excluded_loss_single(logits, answers, **how)) == [name for name in harmonics.names if name in keys]
    train = torch.arange(0, len(answers), 2)
    assert close(loss_from_unseen(logits, answers, train=train, **how), full[train])


@pytest.mark.parametrize("n", [3, 4])
def test_key_representations_are_those_of_the_map(n):
    harmonics, keys = groups.harmonics(n), [list(groups.CHARACTERS[n])[-1]]
    W_L = harmonics.projector(keys)
    assert key_frequencies_from_matrix(W_L, harmonics=harmonics) == tuple(keys)
    neurons = groups.character_logits(n, keys, amplitude=1.0)  # each reads one answer; W_L then keeps all that it says
    logits = neurons @ W_L.T
    found = restricted_loss_neurons(neurons, W_L, logits, harmonics.line, harmonics=harmonics, keys=keys)
    assert close(found, plain_loss(logits, harmonics.line))


@pytest.mark.parametrize("p", MODULI)
@pytest.mark.parametrize("make", [addition, subtraction])
def test_a_table_of_projectors_measures_as_the_cyclic_group_does(p, make):
    cyclic, keys = make(p), some_frequencies(p)
    table, logits, answers = as_table(cyclic), take_logits(cyclic, random_logits(p)), take_rows(cyclic, labels(p))
    for measure in (restricted_loss, excluded_loss):
        one, other = (measure(logits, answers, harmonics=each, keys=keys) for each in (cyclic, table))
        assert close(one, other)
    for measure in (restricted_logits, excluded_logits):
        assert close(measure(logits, harmonics=cyclic, keys=keys), measure(logits, harmonics=table, keys=keys))
    assert close(line_means(logits, cyclic), line_means(logits, table))


@pytest.mark.parametrize("operation", ["add", "subtract", "multiply"])
@pytest.mark.parametrize("p", [3, 7, 11])
def test_a_task_in_the_order_of_its_harmonics_is_addition(p, operation):
    task = ModularTask(p, operation)
    harmonics = task.harmonics
    right = torch.nn.functional.one_hot(torch.from_numpy(task.labels), p).double()
    assert torch.equal(take_logits(harmonics, right).argmax(dim=1), harmonics.line)
    tokens = torch.arange(p)
    assert torch.equal(take_classes(harmonics, tokens)[harmonics.line], take_rows(harmonics, torch.from_numpy(task.labels)))
    rows = torch.arange(p * p)
    assert torch.equal(positions(harmonics, take_rows(harmonics, rows)), torch.arange(len(harmonics.line)))


@pytest.mark.parametrize(("p", "operation"), [(6, "multiply"), (2, "multiply"), (9, "multiply"), (7, "x2xyy2"), (4, "x2xyy2")])
def test_what_no_reordering_makes_an_addition_has_no_harmonics(p, operation):
    assert ModularTask(p, operation).harmonics is None


def test_measures_of_addition_refuse_another_group():
    harmonics, logits = groups.harmonics(3), groups.character_logits(3, ["standard"], amplitude=1.0)
    with pytest.raises(UsageError, match="expected those of addition"):
        restricted_loss(logits, harmonics.line, harmonics=harmonics, keys=["standard"], variant="products")
    with pytest.raises(Exception, match="CyclicHarmonics"):
        embedding_spectrum(torch.zeros(6, 2), harmonics=harmonics)


def test_names_and_shapes_that_do_not_fit_are_refused():
    harmonics = groups.harmonics(3)
    with pytest.raises(UsageError, match="unknown irreducible representation 'sgn'; did you mean 'sign'"):
        harmonics.projector(["sgn"])
    with pytest.raises(UsageError, match=r"expected \(36, 6\)"):
        restricted_loss(torch.zeros(36, 7), harmonics.line, harmonics=harmonics, keys=["sign"])
    projectors = dict(harmonics.projectors)
    with pytest.raises(UsageError, match=r"line: given 0\.\.6, expected 0\.\.5"):
        GroupHarmonics(torch.arange(7), projectors)
    with pytest.raises(UsageError, match="given no projector"):
        GroupHarmonics(harmonics.line, {})
    with pytest.raises(UsageError, match="rows: given 3 for 36 answers"):
        GroupHarmonics(harmonics.line, projectors, rows=torch.arange(3))
    with pytest.raises(UsageError, match="classes: given 3 for 6 group elements"):
        GroupHarmonics(harmonics.line, projectors, classes=torch.arange(3))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda m: m * 2, "not idempotent"),
        (lambda m: m.roll(1, dims=0), "not symmetric"),
        (lambda m: m + 1 / 6, "not"),
        (lambda m: torch.eye(6).double() - 1 / 6, "not orthogonal to 'standard'"),
        (lambda m: m.float(), "expected finite numbers in float64"),
        (lambda m: m * math.nan, "expected finite numbers in float64"),
        (lambda m: m[:3], "expected one and the same"),
    ],
)
def test_matrices_that_are_no_projectors_are_refused(change, what):
    harmonics = groups.harmonics(3)
    projectors = {name: change(matrix) if name == "standard" else matrix for name, matrix in harmonics.projectors.items()}
    with pytest.raises(UsageError, match=what):
        GroupHarmonics(harmonics.line, projectors)


# Tables as tasks


def test_a_table_task_knows_its_pairs():
    task = groups.task(3)
    assert (task.p, task.n_pairs, task.n_ctx, task.n_tokens, task.classes, task.equals_sign) == (6, 36, 3, 7, 6, True)
    assert task.inputs[:, :2].tolist() == ModularTask(6).pairs.tolist()
    assert task == groups.task(3)
    assert hash(task) == hash(groups.task(3))
    assert task != groups.task(3, equals_sign=False)
    assert TableTask.of(ModularTask(5)).inputs.tolist() == ModularTask(5).inputs.tolist()


def test_tables_that_do_not_fit_are_refused():
    with pytest.raises(UsageError, match=r"expected integers in 0\.\.1"):
        binary_operation("bad", [[0, 1], [1, 2]])
    with pytest.raises(UsageError, match="expected \\(n, n\\)"):
        binary_operation("bad", [[0, 1]])
    with pytest.raises(UsageError, match="an input occurs twice"):
        TableTask("twice", np.array([[0], [0]]), np.array([0, 1]), n_tokens=1, classes=2)
    with pytest.raises(UsageError, match="other answers than its labels"):
        binary_operation("bad", [[0, 1, 2], [1, 2, 0], [2, 1, 0]], harmonics=addition(3))
    words = TableTask("words", np.array([[0, 1, 1]]), np.array([0]), n_tokens=2, classes=2)
    assert not words.is_binary_operation
    with pytest.raises(UsageError, match="not all pairs"):
        _ = words.p
