"""The fast CPU engine's matrix products against float64, for sizes that fill no tile; and the order in which it visits pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interp.task import ModularTask
from interp.training import kernels
from interp.training.kernels import LANES, WORD, multiplication, multiply, needs_strips, products
from interp.training.kernels.active import Active, Back, Matrix, add_logits, pull_back_active
from interp.training.kernels.products import at, row_length
from interp.training.kernels.rows import Sources, set_row
from interp.training.pair_chunks import share_out

ROWS, VECTORS, DEPTHS = [1, 3, 4, 9], [1, 3, 4, 5, 8], [1, 5, 130]
sizes = pytest.mark.parametrize(
    ("rows", "vectors", "depth"), [(r, v, d) for r in ROWS for v in VECTORS for d in DEPTHS if r + v + d < 139]
)


def padded(rows: int, columns: int, seed: int) -> np.ndarray:
    """A random matrix whose rows are longer than what is used of them; NaN is what must not be touched."""
    matrix = np.full((rows, columns + 7), np.nan, dtype=np.float32)
    matrix[:, :columns] = np.random.default_rng(seed).standard_normal((rows, columns))
    return matrix


def assert_product(
    product: Callable[..., Any], a: np.ndarray, b: np.ndarray, c: np.ndarray, expected: np.ndarray, *rest: Any
) -> None:
    """A product changes what it should, to rounding, and nothing beside it."""
    columns = expected.shape[1]
    product(at(a, 0, 0), row_length(a), at(b, 0, 0), row_length(b), at(c, 0, 0), row_length(c), *rest)
    np.testing.assert_allclose(c[:, :columns], expected, rtol=1e-5, atol=1e-4)
    assert np.isnan(c[:, columns:]).all()


@sizes
def test_products_equal_float64(rows: int, vectors: int, depth: int) -> None:
    columns, size = LANES * vectors, (rows, vectors, depth)
    a, b, c = padded(rows, depth, 1), padded(depth, columns, 2), padded(rows, columns, 3)
    wide_a, wide_b = a[:, :depth].astype(np.float64), b[:, :columns].astype(np.float64)
    expected = c[:, :columns] + wide_a @ wide_b
    assert_product(products.add_product, a, b, c.copy(), expected, 0, size)
    assert_product(products.set_product, a, b, c.copy(), wide_a @ wide_b, 0, size)
    assert_product(products.set_deep_product, a, b, c.copy(), wide_a @ wide_b, size)
    transposed = padded(depth, rows, 0)
    transposed[:, :rows] = a[:, :depth].T
    assert_product(products.add_transposed_product, transposed, b, c.copy(), expected, 0, size)
    assert_product(products.set_transposed_product, transposed, b, c.copy(), wide_a @ wide_b, 0, size)
    assert_product(products.set_deep_transposed_product, transposed, b, c.copy(), wide_a @ wide_b, size)
    chosen = np.arange(depth - 1, -1, -2, dtype=np.int32)
    few = c[:, :columns] + wide_a[:, chosen] @ wide_b[chosen]
    assert_product(products.add_scattered_product, a, b, c.copy(), few, chosen.ctypes.data, (rows, vectors, len(chosen)))


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

    def matrix(array: np.ndarray) -> Matrix:
        return Matrix(at(array, 0, 0), row_length(array))

    out = logits.copy()
    add_logits(matrix(neurons), active, matrix(W_L), matrix(out), (pairs, words.shape[1], classes))
    np.testing.assert_allclose(out[:, :classes], logits[:, :classes] + wide_neurons @ wide_W_L, rtol=1e-4, atol=1e-4)
    assert (out[:, classes:room] == 0).all()

    gradient, so_far, zero = neurons.copy(), np.full((pairs, cut), np.nan, dtype=np.float32), np.zeros((1, 1), dtype=np.float32)
    before = d_W_L[:, :classes] + wide_neurons.T @ logits[:, :classes]
    back = Back(matrix(gradient), matrix(logits), matrix(W_L), matrix(d_W_L), matrix(so_far), matrix(gradient))
    pull_back_active(back, Matrix(at(zero, 0, 0), 0), active, (pairs, vectors, classes))
    np.testing.assert_allclose(d_W_L[:, :classes], before, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(gradient[is_active], (logits[:, :classes] @ wide_W_L.T)[is_active], rtol=1e-4, atol=1e-3)
    assert np.isnan(gradient[~is_active]).all()
    assert np.isnan(d_W_L[:, room:]).all()
    assert needs_strips(classes) or np.isnan(so_far).all()


@pytest.mark.parametrize("rows", [1, 4, 7])
@pytest.mark.parametrize("vectors", [1, 5])
def test_scalar_products_with_rows(rows: int, vectors: int) -> None:
    columns = LANES * vectors
    a, b, out = padded(1, columns, 1), padded(rows, columns, 2), np.full((rows, 3), np.nan, dtype=np.float32)
    products.row_products(at(a, 0, 0), at(b, 0, 0), row_length(b), at(out, 0, 1), 3, (rows, vectors))
    np.testing.assert_allclose(out[:, 1], b[:, :columns].astype(np.float64) @ a[0, :columns], rtol=1e-5, atol=1e-5)
    assert np.isnan(out[:, [0, 2]]).all()


@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("threads", [1, 3])
def test_multiply_takes_any_size_and_any_order(turned: tuple[bool, bool], threads: int) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(5, 130, 32), (32, 7, 5), (48, 20, 16), (3, 4, 5), (1, 1, 16), (16, 1, 1), (40, 300, 112)]
    products = [
        tuple(
            x.mT.contiguous().mT if turn else x
            for x, turn in zip(
                (torch.randn(m, k, generator=generator), torch.randn(k, n, generator=generator)), turned, strict=True
            )
        )
        for m, k, n in shapes
    ]
    for (a, b), given_ in zip(products, multiply(products, threads=threads), strict=True):
        torch.testing.assert_close(given_, (a.double() @ b.double()).float(), rtol=1e-5, atol=1e-5)


def test_multiply_takes_leading_dimensions_one_by_one_and_any_strides() -> None:
    generator = torch.Generator().manual_seed(0)
    x, W = torch.randn(9, 24, generator=generator), torch.randn(3, 24, 32, generator=generator)
    turned = torch.randn(3, 24, 16, generator=generator).mT
    given_ = multiply([(x.unsqueeze(0), W), (turned, x.mT.unsqueeze(0)), (turned, W), (W.mT, turned.mT)])
    for each, expected in zip(given_, [x @ W, turned @ x.mT, turned @ W, W.mT @ turned.mT], strict=True):
        torch.testing.assert_close(each, expected, rtol=1e-5, atol=1e-4)
    sparse = torch.randn(9, 48, generator=generator)[:, ::2]  # neither by rows nor by columns
    (product,) = multiply([(sparse, W[0])])
    torch.testing.assert_close(product, sparse @ W[0])
    assert multiply([]) == []


@pytest.mark.parametrize("turned", [False, True])
def test_multiply_puts_products_where_it_is_told(turned: bool) -> None:
    """Into rows that are further apart than they are long, into several matrices, and where tiles cannot: never beside it."""
    generator = torch.Generator().manual_seed(0)
    for rows, depth, columns, several in ((5, 30, 32, 1), (16, 7, 5, 1), (3, 4, 5, 1), (9, 20, 16, 3)):
        a, b = torch.randn(several, rows, depth, generator=generator), torch.randn(several, depth, columns, generator=generator)
        b = b.mT.contiguous().mT if turned else b
        room = torch.full((several, rows + 1, columns + 3), torch.nan)
        out = room[:, :rows, :columns]
        factors = (a, b, out) if several > 1 else (a[0], b[0], out[0])
        (product,) = multiply([factors], threads=2)
        torch.testing.assert_close(out, a @ b, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(product.reshape(out.shape), out)
        assert room[:, rows:].isnan().all()
        assert room[:, :, columns:].isnan().all()


def test_multiply_uses_tiles_where_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = []
    monkeypatch.setattr(multiplication, "_SERIAL", lambda array, threads: tasks.append(len(array)))
    multiply([(torch.ones(3, 4), torch.ones(4, 16)), (torch.ones(16, 4), torch.ones(4, 3)), (torch.ones(3, 4), torch.ones(4, 5))])
    multiply([(torch.ones(3, 4), torch.ones(4, 5))])
    assert tasks == [2]  # all at once, but for those without whole vectors


@pytest.mark.skipif(not kernels.can_be_parallel(2), reason="numba has no OpenMP layer here")
@pytest.mark.parametrize("threads", [2, 3, 7])
def test_multiply_gives_the_same_bytes_with_any_number_of_threads(threads: int) -> None:
    generator = torch.Generator().manual_seed(0)
    products = [(torch.randn(m, 200, generator=generator), torch.randn(96, 200, generator=generator).mT) for m in (33, 130)]
    products += [(a, b.contiguous()) for a, b in products]
    one = multiply(products)
    for parallel in (False, True):
        several = multiply(products, threads=threads, parallel=parallel)
        assert all(torch.equal(each, other) for each, other in zip(several, one, strict=True))


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
    for i in range(len(pairs.chunk) - 1):
        start, stop = pairs.chunk[i], pairs.chunk[i + 1]
        by_a = [pairs.a[slice(*pairs.first_a[j : j + 2])] for j in range(*pairs.group_a[i : i + 2])]
        by_b = [pairs.b[start + pairs.by_b[slice(*pairs.first_b[j : j + 2])]] for j in range(*pairs.group_b[i : i + 2])]
        for groups, tokens in ((by_a, pairs.a[start:stop]), (by_b, pairs.b[start:stop])):
            assert all(len(set(group)) == 1 for group in groups)
            assert [group[0] for group in groups] == sorted(set(tokens))
            assert sum(len(group) for group in groups) == stop - start
        np.testing.assert_array_equal(np.sort(pairs.by_b[start:stop]), np.arange(stop - start))


def test_threads_have_about_as_many_pairs() -> None:
    task = ModularTask(113)
    index = np.random.default_rng(0).permutation(task.n_pairs)[:3830]
    pairs = share_out(index, task, threads=2)
    shares = np.diff(pairs.chunk[pairs.span])
    assert shares.sum() == 3830
    assert abs(shares[0] - shares[1]) < 60
    assert np.diff(pairs.chunk).max() < 200
