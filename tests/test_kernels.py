"""The fast CPU engine's matrix products against float64, for sizes that fill no tile; and the order in which it visits pairs."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import pytest
from compiled import at, from_python, matrix, row_length
from hypothesis import given, settings
from hypothesis import strategies as st

from interp.tasks.modular import ModularTask
from interp.training.cpu.kernels import LANES, WORD, Handle, arrays, dots, lines, needs_strips, products, rows
from interp.training.cpu.kernels.active import Active, Back, add_logits, pull_back_active, strips_for
from interp.training.cpu.kernels.dots import Places
from interp.training.cpu.kernels.handles import opener
from interp.training.cpu.kernels.places import Matrix
from interp.training.cpu.kernels.rows import Sources
from interp.training.cpu.pair_chunks import share_out

multiply, multiply_turned, multiply_scattered = (
    from_python(each, products.UNITS) for each in (products.multiply, products.multiply_turned, products.multiply_scattered)
)
row_products, scattered_row_products = (
    from_python(each, dots.UNITS) for each in (dots.row_products, dots.scattered_row_products)
)
set_row, turn = from_python(rows.set_row, [rows.row]), from_python(lines.turn)
add_to_logits, pull_back = from_python(add_logits), from_python(pull_back_active)

ROWS, COLUMNS, DEPTHS = [1, 3, 4, 9], [1, 4, 7, 16, 37, 64, 113, 128], [1, 5, 130]
sizes = pytest.mark.parametrize(
    ("rows", "columns", "depth"), [(r, c, d) for r in ROWS for c in COLUMNS for d in DEPTHS if r * c * d < 60_000]
)


def padded(rows: int, columns: int, seed: int) -> np.ndarray:
    """A random matrix whose rows are longer than what is used of them; NaN is what must not be touched."""
    matrix = np.full((rows, columns + 7), np.nan, dtype=np.float32)
    matrix[:, :columns] = np.random.default_rng(seed).standard_normal((rows, columns))
    return matrix


@sizes
@pytest.mark.parametrize("is_fresh", [True, False])
def test_products_equal_float64_and_touch_nothing_beside(rows: int, columns: int, depth: int, is_fresh: bool) -> None:
    a, b, before = padded(rows, depth, 1), padded(depth, columns, 2), padded(rows, columns, 3)
    if is_fresh:
        before[:, :columns] = np.nan
    turned = padded(depth, rows, 0)
    turned[:, :rows] = a[:, :depth].T
    expected = a[:, :depth].astype(np.float64) @ b[:, :columns] + (0 if is_fresh else before[:, :columns])
    for product, left in ((multiply, a), (multiply_turned, turned)):
        out = before.copy()
        product(matrix(left), matrix(b), matrix(out), (rows, columns, depth), is_fresh)
        np.testing.assert_allclose(out[:, :columns], expected, rtol=1e-5, atol=1e-4)
        assert np.isnan(out[:, columns:]).all()


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("vectors", [1, 3, 4, 9])
@pytest.mark.parametrize("is_fresh", [True, False])
def test_a_product_over_scattered_rows_is_that_of_these_rows(rows: int, vectors: int, is_fresh: bool) -> None:
    columns, depth = LANES * vectors, 21
    a, b, out = padded(rows, depth, 1), padded(depth, columns, 2), padded(rows, columns, 3)
    chosen = np.arange(depth - 1, -1, -2, dtype=np.int32)
    expected = a[:, chosen].astype(np.float64) @ b[chosen, :columns] + (0 if is_fresh else out[:, :columns])
    if is_fresh:
        out[:, :columns] = np.nan
    multiply_scattered(matrix(a), matrix(b), matrix(out), chosen.ctypes.data, (rows, vectors, len(chosen)), is_fresh)
    np.testing.assert_allclose(out[:, :columns], expected, rtol=1e-5, atol=1e-5)
    assert np.isnan(out[:, columns:]).all()


def bits(words: np.ndarray, columns: int) -> np.ndarray:
    """The first bits of each row of words, as truth values."""
    return np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")[:, :columns].astype(bool)


@pytest.mark.parametrize(("neurons", "vectors", "heads"), [(1, 2, 1), (7, 9, 4), (8, 16, 3), (9, 11, 5), (17, 34, 2)])
def test_a_row_is_the_weighted_sum_of_its_tables_with_the_relu_over_its_neurons(neurons: int, vectors: int, heads: int) -> None:
    columns, cut = LANES * vectors, LANES * neurons
    base, near, far = padded(1, columns, 1), padded(heads, columns, 2), padded(heads, columns, 3)
    base[0, 0], base[0, 1] = np.nan, np.inf
    attention, out = padded(2, heads, 4), np.full((1, columns + 3), -7, dtype=np.float32)
    words = np.zeros((1, -(-cut // WORD)), dtype=np.int64)
    places = [at(each, 0, 0) for each in (base, near, far)]
    sources = Sources(
        places[0], places[1], row_length(near), places[2], row_length(far), at(attention, 0, 0), at(attention, 1, 0), 1, heads
    )
    set_row(sources, at(out, 0, 0), words.ctypes.data, (neurons, vectors))
    expected = base[0, :columns].astype(np.float64)
    expected += attention[0, :heads].astype(np.float64) @ near[:, :columns] + attention[1, :heads] @ far[:, :columns]
    expected[1:cut] = np.where(expected[1:cut] > 0, expected[1:cut], 0)
    np.testing.assert_allclose(out[0, :columns], expected, rtol=1e-5, atol=1e-5)
    assert (out[0, columns:] == -7).all()
    np.testing.assert_array_equal(bits(words, cut)[0], ~(out[0, :cut] == 0))


CLASSES = [1, 4, 5, 16, 20, 21, 112, 113, 114, 117, 128, 129, 133, 260, 389]


@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize(("pairs", "vectors"), [(1, 1), (64, 2), (131, 5)])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_products_with_active_neurons_equal_the_products_with_all(classes: int, pairs: int, vectors: int, share: float) -> None:
    generator, cut, room = np.random.default_rng(classes), LANES * vectors, -(-classes // LANES) * LANES
    is_active = generator.random((pairs, cut)) < share
    words = np.zeros((pairs, -(-cut // WORD)), dtype=np.int64)
    words.view(np.uint8)[:, : cut // 8] = np.packbits(is_active, axis=1, bitorder="little")
    np.testing.assert_array_equal(bits(words, cut), is_active)
    active = Active(words.ctypes.data, words.shape[1])

    def zero_beyond_classes(n: int, seed: int) -> np.ndarray:
        matrix = padded(n, room, seed)
        matrix[:, classes:room] = 0
        return matrix

    W_L, logits, d_W_L = (zero_beyond_classes(n, seed) for seed, n in enumerate([cut, pairs, cut]))
    # An inactive neuron is 0; here it is NaN, to show that it is not read.
    neurons = np.where(is_active, padded(pairs, cut, 3)[:, :cut], np.float32(np.nan))
    wide_W_L, wide_neurons = W_L[:, :classes].astype(np.float64), np.where(is_active, neurons, 0).astype(np.float64)

    forward, backward = (arrays.Strips(whole.address, last.address, number) for whole, last, number in strips_for(classes))
    out = logits.copy()
    add_to_logits(forward, matrix(neurons), active, matrix(W_L), matrix(out), (pairs, words.shape[1]))
    np.testing.assert_allclose(out[:, :classes], logits[:, :classes] + wide_neurons @ wide_W_L, rtol=1e-4, atol=1e-4)
    assert (out[:, classes:room] == 0).all()

    gradient, so_far, zero = neurons.copy(), np.full((pairs, cut), np.nan, dtype=np.float32), np.zeros((1, 1), dtype=np.float32)
    before = d_W_L[:, :classes] + wide_neurons.T @ logits[:, :classes]
    counts = np.full(cut + 1, 7)
    back = Back(
        matrix(gradient), matrix(logits), matrix(W_L), matrix(d_W_L), matrix(so_far), matrix(gradient), counts.ctypes.data
    )
    pull_back(backward, back, Matrix(at(zero, 0, 0), 0), active, (pairs, vectors))
    np.testing.assert_allclose(d_W_L[:, :classes], before, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(gradient[is_active], (logits[:, :classes] @ wide_W_L.T)[is_active], rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(counts, [*(7 + is_active.sum(0)), 7])
    assert np.isnan(gradient[~is_active]).all()
    assert np.isnan(d_W_L[:, room:]).all()
    assert needs_strips(classes) or np.isnan(so_far).all()


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("columns", [1, 4, 7])
@pytest.mark.parametrize("vectors", [1, 5])
@pytest.mark.parametrize("are_turned", [False, True])
def test_scalar_products_of_rows(rows: int, columns: int, vectors: int, are_turned: bool) -> None:
    length = LANES * vectors
    a, b = padded(2 * rows, length, 1), padded(columns, length, 2)
    expected = a[:, :length].astype(np.float64) @ b[:, :length].T

    def places() -> tuple[np.ndarray, Places]:
        out = np.full((2 * rows + 1, columns + 1), np.nan, dtype=np.float32)
        out = out.T.copy().T if are_turned else out
        return out, Places(out.ctypes.data, out.strides[0] // 4, out.strides[1] // 4)

    out, where = places()
    row_products(matrix(a), matrix(b), where, (rows, columns, vectors))
    np.testing.assert_allclose(out[:rows, :columns], expected[:rows], rtol=1e-5, atol=1e-4)
    assert np.isnan(out[rows:]).all()
    assert np.isnan(out[:, columns]).all()

    chosen = np.arange(2 * rows - 1, 0, -2, dtype=np.int32)
    out, where = places()
    scattered_row_products(matrix(a), chosen.ctypes.data, matrix(b), where, (rows, columns, vectors))
    np.testing.assert_allclose(out[chosen, :columns], expected[chosen], rtol=1e-5, atol=1e-4)
    assert np.isnan(np.delete(out, chosen, axis=0)).all()
    assert np.isnan(out[:, columns]).all()


@pytest.mark.parametrize("rows", [1, 16, 37])
@pytest.mark.parametrize("columns", [1, 15, 40])
def test_turning_puts_columns_into_rows(rows: int, columns: int) -> None:
    a, out = padded(rows, columns, 1), np.full((columns, rows + 2), np.nan, dtype=np.float32)
    turn(a, out, 1, columns)
    np.testing.assert_array_equal(out[1:, :rows], a[:, 1:columns].T)
    assert np.isnan(out[0]).all()
    assert np.isnan(out[:, rows:]).all()


class Some(NamedTuple):
    matrix: arrays.Float2
    words: arrays.Int64_1
    deep: arrays.Float4
    count: arrays.Index
    rate: arrays.Number
    is_set: arrays.Flag


open_some = opener(Some)


@numba.njit
def look(address: int) -> tuple[float, int, float, int, float, bool, int, int, tuple[int, int, int, int]]:
    some = open_some(address)
    some.matrix[1, 2] += 1
    deep = some.deep
    shapes = deep.shape[2], len(some.words), deep.strides
    return some.matrix[1, 2], some.words[-1], deep[1, 0, 2, 3], some.count, some.rate, some.is_set, *shapes


def test_compiled_code_opens_a_handle_and_finds_what_was_put_in() -> None:
    generator = np.random.default_rng(0)
    matrix, deep = (generator.standard_normal(size).astype(np.float32) for size in ((3, 4), (2, 1, 3, 4)))
    before = matrix[1, 2]
    handle = Handle(Some(matrix, np.array([5, -7]), deep, count=-3, rate=0.3, is_set=True))
    seen = look(handle.address)
    assert seen == (before + 1, -7, deep[1, 0, 2, 3], -3, np.float32(0.3), True, 3, 2, deep.strides)
    assert matrix[1, 2] == before + 1
    other = Handle(handle.values._replace(is_set=False, words=np.zeros(0, dtype=np.int64)))
    assert look(other.address)[5:8] == (False, 3, 0)


def test_a_handle_refuses_an_array_with_gaps() -> None:
    good = Some(np.zeros((3, 4), np.float32), np.zeros(2, np.int64), np.zeros((1, 1, 1, 1), np.float32), 0, 0.0, is_set=False)
    with pytest.raises(ValueError, match=r"matrix: .*rows"):
        Handle(good._replace(matrix=good.matrix.T))


@settings(deadline=None)
@given(st.integers(2, 60), st.floats(0, 1), st.integers(1, 7), st.integers(0, 9))
def test_every_pair_is_visited_once_by_the_thread_that_owns_it(p: int, fraction: float, threads: int, seed: int) -> None:
    task = ModularTask(p)
    n = max(1, round(fraction * task.n_pairs))
    index = np.random.default_rng(seed).permutation(task.n_pairs)[:n]
    pairs = share_out(index, task, threads=threads)
    np.testing.assert_array_equal(np.sort(pairs.a * p + pairs.b), np.sort(index))
    np.testing.assert_array_equal(pairs.label, (pairs.a + pairs.b) % p)
    assert len(pairs.span) == len(pairs.tokens) == threads + 1
    assert pairs.tokens[0] == 0
    assert pairs.tokens[-1] == p
    assert pairs.span[-1] == len(pairs.chunk) - 1
    assert pairs.chunk[-1] == n
    for thread in range(threads):
        first, last = pairs.chunk[pairs.span[thread]], pairs.chunk[pairs.span[thread + 1]]
        a = pairs.a[first:last]
        assert ((a >= pairs.tokens[thread]) & (a < pairs.tokens[thread + 1])).all()
    met: dict[int, tuple[set[int], set[int]]] = {thread: (set(), set()) for thread in range(threads)}
    for i in range(len(pairs.chunk) - 1):
        start, stop = pairs.chunk[i], pairs.chunk[i + 1]
        met_a, met_b = met[int(np.searchsorted(pairs.span, i, side="right")) - 1]
        by_a = [pairs.a[slice(*pairs.first_a[j : j + 2])] for j in range(*pairs.group_a[i : i + 2])]
        by_b = [pairs.b[start + pairs.by_b[slice(*pairs.first_b[j : j + 2])]] for j in range(*pairs.group_b[i : i + 2])]
        for groups, tokens in ((by_a, pairs.a[start:stop]), (by_b, pairs.b[start:stop])):
            assert all(len(set(group)) == 1 for group in groups)
            assert [group[0] for group in groups] == sorted(set(tokens))
            assert sum(len(group) for group in groups) == stop - start
        np.testing.assert_array_equal(np.sort(pairs.by_b[start:stop]), np.arange(stop - start))
        for groups, is_new, before in (
            (by_a, pairs.new_a[slice(*pairs.group_a[i : i + 2])], met_a),
            (by_b, pairs.new_b[slice(*pairs.group_b[i : i + 2])], met_b),
        ):
            assert is_new.tolist() == [int(group[0]) not in before for group in groups]
            before.update(int(group[0]) for group in groups)


def test_threads_have_about_as_many_pairs() -> None:
    task = ModularTask(113)
    index = np.random.default_rng(0).permutation(task.n_pairs)[:3830]
    pairs = share_out(index, task, threads=2)
    shares = np.diff(pairs.chunk[pairs.span])
    assert shares.sum() == 3830
    assert abs(shares[0] - shares[1]) < 60
    assert np.diff(pairs.chunk).max() < 200
