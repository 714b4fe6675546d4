"""The Fourier basis: orthonormality, Parseval, agreement with numpy's FFT, even p and the alternating wave."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interp.harmonics.cyclic import FourierBasis

MODULI = [2, 3, 4, 5, 6, 7, 12, 59, 113, 114]
any_p = st.integers(2, 40)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("p", [*MODULI, 1009, 1010])
def test_rows_are_orthonormal_and_as_many_as_residues(p):
    rows = FourierBasis(p).rows
    assert rows.shape == (p, p)
    assert (rows @ rows.T - torch.eye(p, dtype=torch.float64)).abs().max() < 1e-12


@pytest.mark.parametrize("p", MODULI)
def test_rows_are_the_waves_their_names_say(p):
    basis, x = FourierBasis(p), np.arange(p)
    for name, row, k in zip(basis.names, basis.rows.numpy(), basis.row_frequency.tolist(), strict=True):
        kind, _, number = name.partition(" ")
        wave = {"constant": np.ones(p), "cos": np.cos(2 * np.pi * k * x / p), "sin": np.sin(2 * np.pi * k * x / p)}[kind]
        assert (number or "0") == str(k)
        assert np.allclose(row, wave / np.linalg.norm(wave), rtol=0, atol=1e-12)


@pytest.mark.parametrize("p", MODULI)
def test_cosine_comes_first(p):
    basis = FourierBasis(p)
    for k in basis.frequencies:
        assert torch.equal(basis.cos(k), basis.rows[2 * k - 1])
        if k != basis.nyquist:
            assert torch.equal(basis.sin(k), basis.rows[2 * k])
            assert basis.waves(k).shape == (2, p)


@pytest.mark.parametrize("p", [p for p in MODULI if p % 2 == 0])
def test_the_alternating_wave_has_no_sine(p):
    basis = FourierBasis(p)
    assert basis.nyquist == p // 2 == basis.frequencies[-1]
    assert basis.names[-1] == f"cos {p // 2}"
    assert torch.allclose(basis.cos(p // 2) * p**0.5, (-1.0) ** torch.arange(p, dtype=torch.float64))
    assert basis.waves(p // 2).shape == (1, p)
    with pytest.raises(ValueError, match="no sine"):
        basis.sin(p // 2)


@settings(max_examples=40, deadline=None)
@given(p=any_p, seed=st.integers(0, 99))
def test_inverse_and_parseval(p, seed):
    basis, x, grid = FourierBasis(p), random(3, p, seed=seed), random(2, p, p, seed=seed)
    assert torch.allclose(basis.inverse(basis(x)), x, atol=1e-12)
    assert torch.allclose(basis.inverse_2d(basis.transform_2d(grid)), grid, atol=1e-12)
    assert torch.allclose(basis(x).square().sum(), x.square().sum())
    assert torch.allclose(basis.transform_2d(grid).square().sum(), grid.square().sum())


@settings(max_examples=40, deadline=None)
@given(p=any_p, seed=st.integers(0, 99))
def test_agrees_with_numpy(p, seed):
    basis, x = FourierBasis(p), random(p, seed=seed)
    spectrum = np.fft.rfft(x.numpy()) * (2 / p) ** 0.5
    spectrum[0] /= 2**0.5
    expected = [spectrum[0].real]
    for k in basis.frequencies:
        expected += [spectrum[k].real / 2**0.5] if k == basis.nyquist else [spectrum[k].real, -spectrum[k].imag]
    assert np.allclose(basis(x).numpy(), expected, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(p=st.integers(2, 15), shift=st.integers(0, 14))
def test_a_shift_keeps_the_norm_of_every_frequency(p, shift):
    basis, x = FourierBasis(p), random(p, 4)
    assert torch.allclose(basis.frequency_norms(x.roll(shift, dims=0)), basis.frequency_norms(x), atol=1e-12)


@pytest.mark.parametrize("p", MODULI)
def test_2d_transform_is_rows_times_matrix_times_rows_transposed(p):
    basis = FourierBasis(p)
    matrix = torch.outer(basis.rows[1], basis.rows[-1])
    expected = torch.zeros(p, p, dtype=torch.float64)
    expected[1, p - 1] = 1
    assert torch.allclose(basis.transform_2d(matrix), expected, atol=1e-12)


@pytest.mark.parametrize("p", MODULI)
def test_norms_add_up(p):
    basis, x = FourierBasis(p), random(p, 3, 2)
    rows, frequencies = basis.row_norms(x), basis.frequency_norms(x)
    assert rows.shape == (p,)
    assert frequencies.shape == (p // 2,)
    assert torch.allclose(rows.square().sum(), x.square().sum())
    assert torch.allclose(frequencies.square().sum() + rows[0] ** 2, x.square().sum())
    assert torch.allclose(frequencies[-1] ** 2, basis.rows[basis.row_frequency == p // 2].matmul(x.reshape(p, 6)).square().sum())


def test_float32_in_float64_out_without_touching_the_input():
    x = torch.ones(5)
    assert FourierBasis(5)(x).dtype == torch.float64
    assert torch.equal(x, torch.ones(5))


def test_not_a_number_is_not_hidden():
    x = torch.ones(5)
    x[2] = torch.nan
    assert FourierBasis(5)(x).isnan().all()
    assert FourierBasis(5).frequency_norms(x).isnan().all()


@pytest.mark.parametrize("p", [1, 0, -3, True])
def test_bad_modulus(p):
    with pytest.raises(ValueError, match="expected an integer >= 2"):
        FourierBasis(p)


def test_bad_frequency_and_shapes():
    basis = FourierBasis(7)
    for frequency in (0, 4, -1):
        with pytest.raises(ValueError, match=r"expected 1\.\.3 for p = 7"):
            basis.check(frequency)
    with pytest.raises(ValueError, match="expected length 7 along axis -1"):
        basis(torch.ones(3, 6))
    with pytest.raises(ValueError, match="along axis -2"):
        basis.transform_2d(torch.ones(6, 6))
    with pytest.raises(ValueError, match="along axis 0"):
        basis.frequency_norms(torch.ones(6, 6))
