"""The Fourier transform in place is the Fourier transform."""

import numba
import numpy as np
import pytest

from ptycho.physics.vector_fft import fft2_in_place, work_size

SIZES = [16, 32, 64, 128, 256, 512]


def transform(n):
    @numba.njit
    def run(re, im, work):
        fft2_in_place(n, re, im, work[0], work[1])

    def apply(wave, back=False):
        planes = [np.ascontiguousarray(part, np.float32).ravel() for part in (wave.real, wave.imag)]
        work = np.full((2, work_size(n)), np.nan, np.float32)
        run(*(planes[::-1] if back else planes), work)
        return (planes[0] + 1j * planes[1]).reshape(n, n)

    return apply


def random_wave(n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, n)) + 1j * rng.normal(size=(n, n))


@pytest.mark.parametrize("n", SIZES)
def test_it_agrees_with_numpy(n):
    wave, apply = random_wave(n), transform(n)
    expected = np.fft.fft2(wave)
    assert np.abs(apply(wave) - expected).max() < 5e-7 * np.abs(expected).max()
    back = np.fft.ifft2(wave) * n**2
    assert np.abs(apply(wave, back=True) - back).max() < 5e-7 * np.abs(back).max()


@pytest.mark.parametrize("n", SIZES)
def test_back_again_and_energy(n):
    wave, apply = random_wave(n, 1), transform(n)
    there = apply(wave)
    assert np.abs(apply(there, back=True) / n**2 - wave).max() < 2e-6
    assert np.square(np.abs(there)).sum() == pytest.approx(
        n**2 * np.square(np.abs(wave)).sum(), rel=1e-5
    )


@pytest.mark.parametrize("n", [16, 64])
def test_one_pixel_by_hand(n):
    """A single pixel at (1, 3) becomes the wave exp(-2 pi i (k + 3 l) / n)."""
    wave = np.zeros((n, n), complex)
    wave[1, 3] = 2
    k, col = np.mgrid[:n, :n]
    expected = 2 * np.exp(-2j * np.pi * (k + 3 * col) / n)
    np.testing.assert_allclose(transform(n)(wave), expected, atol=2e-6)


def test_nothing_is_written_beside_the_arrays():
    n = 64

    @numba.njit
    def run(re, im, work_re, work_im):
        fft2_in_place(n, re, im, work_re, work_im)

    sizes = (n * n, n * n, work_size(n), work_size(n))
    padded = [np.full(size + 32, 7, np.float32) for size in sizes]
    run(*(array[16:-16] for array in padded))
    for array in padded:
        assert (array[:16] == 7).all()
        assert (array[-16:] == 7).all()
