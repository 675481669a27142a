"""Loops over the pixels of frames compiled by Numba: what an iteration does between its transforms.

Data flow: batches -> network + [physics] -> trained model.
Loaded by `compiled` only: importing takes longer than a few frames.

Complex arrays come as float32 with real and imaginary parts in turn along the last axis. Waves on
the detector have their zero frequency at pixel 0, frames at N//2. The loops release the interpreter
lock; no thread writes where another one does. `no_type_check` keeps the checks that tests put
around functions out of what Numba compiles.
"""

import math
from collections.abc import Callable
from typing import Any, no_type_check

import numba
import numpy as np

_OPTIONS: dict[str, Any] = {
    "nogil": True, "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "nsz", "arcp", "nnan"},
}  # fmt: skip
_DARK = 1e-6  # photons: `physics.losses.DARK`
_DIM = 1e-4  # of the largest modelled modulus; see `physics.detector.Detector.corrected`
_DIM_ROOT = 1e-3  # sqrt(photons): as in `position_steps.position_steps`
_SHORT = 512
_TINY = np.finfo(np.float32).tiny


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile when first called; keep the result on disk where a folder is writable."""
    try:
        cached: Callable[..., Any] = numba.njit(function, **_OPTIONS, cache=True)
    except RuntimeError:  # "no locator available": neither this folder nor the user's cache
        cached = numba.njit(function, **_OPTIONS)
    return cached


@_compiled
@no_type_check
def _ramp(fraction, out):
    """Write exp(-2 pi i f k) for all frequencies k of an axis, zero frequency first."""
    n = len(out) // 2
    step_re = math.cos(-2 * math.pi * fraction / n)
    step_im = math.sin(-2 * math.pi * fraction / n)
    re, im = 1.0, 0.0
    for i in range(n // 2 + 1):
        j = (n - i) % n
        out[2 * i], out[2 * i + 1] = re, im
        out[2 * j], out[2 * j + 1] = re, -im
        re, im = re * step_re - im * step_im, re * step_im + im * step_re


@_compiled
@no_type_check
def ramped(spectrum, fractions, factors, out):
    """Write the spectra of a probe moved by each of some fractions, times a factor each."""
    n_modes, n, _ = spectrum.shape
    rows, cols = np.empty(2 * n, np.float32), np.empty(2 * n, np.float32)
    for i in range(len(fractions)):
        _ramp(fractions[i, 0], rows)
        _ramp(fractions[i, 1], cols)
        for m in range(n_modes):
            for r in range(n):
                row_re, row_im = rows[2 * r] * factors[i], rows[2 * r + 1] * factors[i]
                here, there = spectrum[m, r], out[i, m, r]
                for c in range(n):
                    re = cols[2 * c] * row_re - cols[2 * c + 1] * row_im
                    im = cols[2 * c] * row_im + cols[2 * c + 1] * row_re
                    there[2 * c] = here[2 * c] * re - here[2 * c + 1] * im
                    there[2 * c + 1] = here[2 * c] * im + here[2 * c + 1] * re


@_compiled
@no_type_check
def exit_waves(obj, corners, probes, which, out):
    """Write probe times object in the window of each frame; which of the probes is its own."""
    n_frames, n_modes, n, _ = out.shape
    for i in range(n_frames):
        first, last = 2 * corners[i, 1], 2 * (corners[i, 1] + n)
        for r in range(n):
            patch = obj[corners[i, 0] + r, first:last]
            for m in range(n_modes):
                here, there = probes[which[i], m, r], out[i, m, r]
                for c in range(n):
                    re, im = patch[2 * c], patch[2 * c + 1]
                    there[2 * c] = here[2 * c] * re - here[2 * c + 1] * im
                    there[2 * c + 1] = here[2 * c] * im + here[2 * c + 1] * re


@_compiled
@no_type_check
def _bias(root):
    """Return `physics.counting.root_bias`."""
    q, r, s = np.float32(0.4342857), np.float32(0.2256318), np.float32(1.5400139)
    squared = root * root
    whole = np.float32(1) + root + squared * (q + s * root + np.float32(8) * r * squared)
    return root * (np.float32(1) + r * squared) / whole


@_compiled
@no_type_check
def _photons(waves, out):
    """Write the photons of the waves of one frame."""
    here = waves[0]
    for p in range(len(out)):
        out[p] = here[2 * p] * here[2 * p] + here[2 * p + 1] * here[2 * p + 1]
    for m in range(1, len(waves)):
        here = waves[m]
        for p in range(len(out)):
            out[p] += here[2 * p] * here[2 * p] + here[2 * p + 1] * here[2 * p + 1]


@_compiled
@no_type_check
def _held_out_misfit(modelled, amplitude, pixels, judging):
    """Return the Poisson deviance / 4 of the judging pixels of a frame, and their photons."""
    deviance, light = 0.0, 0.0
    for h in range(len(pixels)):
        if judging[h]:
            counted = amplitude[pixels[h]] * amplitude[pixels[h]]
            expected = modelled[pixels[h]] + np.float32(_DARK)
            each = expected - counted
            if counted > 0:
                each += counted * math.log((counted + np.float32(_DARK)) / expected)
            deviance += 0.5 * each
            light += counted
    return deviance, light


@_compiled
@no_type_check
def _beam_sums(modelled, amplitude, excluded, background):
    """Return sum (n - b) and sum I over the pixels that are not excluded."""
    counted, expected = 0.0, 0.0
    for first in range(0, len(modelled), _SHORT):  # sums of few in single precision
        part, other = np.float32(0), np.float32(0)
        light, measured = modelled[first : first + _SHORT], amplitude[first : first + _SHORT]
        without, more = excluded[first : first + _SHORT], background[first : first + _SHORT]
        for p in range(len(light)):
            used = np.float32(0) if without[p] else np.float32(1)
            part += (measured[p] * measured[p] - more[p]) * used
            other += light[p] * used
        counted += part
        expected += other
    return counted, expected


@_compiled
@no_type_check
def _add_background(modelled, amplitude, excluded, background, sums):
    """Add a frame to the sums of `background.BackgroundSum`, (4, pixels)."""
    ones, excess, first, second = sums[0], sums[1], sums[2], sums[3]
    for p in range(len(modelled)):
        used = np.float32(0) if excluded[p] else np.float32(1)
        weight = used / (modelled[p] + background[p] + np.float32(1))
        ones[p] += weight
        excess[p] += weight * (amplitude[p] * amplitude[p] - modelled[p])
        first[p] += weight * modelled[p]
        second[p] += weight * modelled[p] * modelled[p]


@_compiled
@no_type_check
def _to_change(waves, modelled, amplitude, excluded, unbiased):
    """Turn the waves of a frame into their change, Psi (sqrt n / sqrt I - 1).

    `modelled` are the photons I, background included; used up.
    """
    most = np.float32(0)
    for p in range(len(modelled)):
        most = modelled[p] if modelled[p] > most else most
    floor = np.float32(_DIM) * math.sqrt(most) + np.float32(_TINY)
    for p in range(len(modelled)):
        root = math.sqrt(modelled[p])
        bright = root if root > floor else floor
        wanted = amplitude[p]
        if unbiased:
            wanted += _bias(root)
        modelled[p] = np.float32(0) if excluded[p] else wanted / bright - np.float32(1)
    for m in range(len(waves)):
        here = waves[m]
        for p in range(len(modelled)):
            here[2 * p] *= modelled[p]
            here[2 * p + 1] *= modelled[p]


@_compiled
@no_type_check
def place(change, probes, which, corners, step, light, first, last):
    """Add conj(P) change and |P|^2 of frames to canvas rows first ... last - 1.

    Returns the most light on a pixel that was reached.
    """
    n_frames, n_modes, n, _ = change.shape
    most = np.float32(0)
    for i in range(n_frames):
        top, left = corners[i, 0], corners[i, 1]
        for r in range(max(0, first - top), min(n, last - top)):
            there, lit = step[top + r, 2 * left : 2 * (left + n)], light[top + r, left : left + n]
            for m in range(n_modes):
                wave, probe = change[i, m, r], probes[which[i], m, r]
                for c in range(n):
                    p_re, p_im = probe[2 * c], probe[2 * c + 1]
                    w_re, w_im = wave[2 * c], wave[2 * c + 1]
                    there[2 * c] += p_re * w_re + p_im * w_im
                    there[2 * c + 1] += p_re * w_im - p_im * w_re
                    lit[c] += p_re * p_re + p_im * p_im
            for c in range(n):
                most = lit[c] if lit[c] > most else most
    return most


@_compiled
@no_type_check
def apply(obj, step, light, corners, n, damped, first, last):
    """Add step / (light + damped) to an object, and set both to 0.

    Only where windows of side n lie, in canvas rows first ... last - 1. There `step` and `light`
    are 0 after the first of the windows, so that the others change nothing.
    """
    for i in range(len(corners)):
        top, left = corners[i, 0], corners[i, 1]
        for r in range(max(0, first - top), min(n, last - top)):
            there, lit = step[top + r, 2 * left : 2 * (left + n)], light[top + r, left : left + n]
            here = obj[top + r, 2 * left : 2 * (left + n)]
            for c in range(n):
                share = np.float32(1) / (lit[c] + damped)
                here[2 * c] += there[2 * c] * share
                here[2 * c + 1] += there[2 * c + 1] * share
                there[2 * c], there[2 * c + 1], lit[c] = np.float32(0), np.float32(0), np.float32(0)


@_compiled
@no_type_check
def apply_everywhere(canvases, step, light, damping):
    """Add step / (light + damping times the most light) to each of some canvases."""
    for g in range(len(canvases)):
        most = np.float32(0)
        for r in range(light.shape[1]):
            lit = light[g, r]
            for c in range(len(lit)):
                most = lit[c] if lit[c] > most else most
        for r in range(light.shape[1]):
            here, there, lit = canvases[g, r], step[g, r], light[g, r]
            for c in range(len(lit)):
                share = np.float32(1) / (lit[c] + damping * most)
                here[2 * c] += there[2 * c] * share
                here[2 * c + 1] += there[2 * c + 1] * share


@_compiled
@no_type_check
def times_patches(obj, corners, change, out, weight):
    """Write conj(o) change of each frame, and add |o|^2 to `weight`, (N, N)."""
    n_frames, n_modes, n, _ = change.shape
    for i in range(n_frames):
        first, last = 2 * corners[i, 1], 2 * (corners[i, 1] + n)
        for r in range(n):
            patch, total = obj[corners[i, 0] + r, first:last], weight[r]
            for c in range(n):
                total[c] += patch[2 * c] * patch[2 * c] + patch[2 * c + 1] * patch[2 * c + 1]
            for m in range(n_modes):
                here, there = change[i, m, r], out[i, m, r]
                for c in range(n):
                    re, im = patch[2 * c], patch[2 * c + 1]
                    there[2 * c] = here[2 * c] * re + here[2 * c + 1] * im
                    there[2 * c + 1] = here[2 * c + 1] * re - here[2 * c] * im


@_compiled
@no_type_check
def add_unramped(spectra, fractions, out):
    """Add up spectra of waves moved back by fractions, as `ramped` moves them."""
    n_frames, n_modes, n, _ = spectra.shape
    rows, cols = np.empty(2 * n, np.float32), np.empty(2 * n, np.float32)
    for i in range(n_frames):
        _ramp(fractions[i, 0], rows)
        _ramp(fractions[i, 1], cols)
        for m in range(n_modes):
            for r in range(n):
                row_re, row_im = rows[2 * r], rows[2 * r + 1]
                here, there = spectra[i, m, r], out[m, r]
                for c in range(n):
                    re = cols[2 * c] * row_re - cols[2 * c + 1] * row_im
                    im = cols[2 * c] * row_im + cols[2 * c + 1] * row_re
                    there[2 * c] += here[2 * c] * re + here[2 * c + 1] * im
                    there[2 * c + 1] += here[2 * c + 1] * re - here[2 * c] * im


@_compiled
@no_type_check
def slopes(spectra, out):
    """Write the spectra of the derivatives of moved probes by their positions, rows and columns."""
    n_frames, n_modes, n, _ = spectra.shape
    turn = np.empty(n, np.float32)
    for k in range(n):
        turn[k] = 2 * math.pi / n * (k if 2 * k < n else k - n)
    for i in range(n_frames):
        for m in range(n_modes):
            for r in range(n):
                here = spectra[i, m, r]
                by_row, by_col = out[i, 0, m, r], out[i, 1, m, r]
                for c in range(n):
                    by_row[2 * c] = here[2 * c + 1] * turn[r]
                    by_row[2 * c + 1] = -here[2 * c] * turn[r]
                    by_col[2 * c] = here[2 * c + 1] * turn[c]
                    by_col[2 * c + 1] = -here[2 * c] * turn[c]


@_compiled
@no_type_check
def _position_sums(waves, derivatives, modelled, amplitude, excluded, unbiased, out):
    """Write J^T missing (rows, columns) and J^T J (rows, both, columns) of one frame.

    See `position_steps.position_steps`; `modelled` are the photons I, background included, and
    `derivatives` those of the waves by the position, (2, modes, pixels).
    """
    row_sum, col_sum, rows_sum, both_sum, cols_sum = 0.0, 0.0, 0.0, 0.0, 0.0
    by_row, by_col = np.empty(_SHORT, np.float32), np.empty(_SHORT, np.float32)
    for first in range(0, len(modelled), _SHORT):
        light, measured = modelled[first : first + _SHORT], amplitude[first : first + _SHORT]
        without = excluded[first : first + _SHORT]
        by_row[:], by_col[:] = np.float32(0), np.float32(0)
        for m in range(len(waves)):
            wave = waves[m, 2 * first : 2 * (first + _SHORT)]
            along = derivatives[0, m, 2 * first : 2 * (first + _SHORT)]
            across = derivatives[1, m, 2 * first : 2 * (first + _SHORT)]
            for p in range(len(light)):
                by_row[p] += wave[2 * p] * along[2 * p] + wave[2 * p + 1] * along[2 * p + 1]
                by_col[p] += wave[2 * p] * across[2 * p] + wave[2 * p + 1] * across[2 * p + 1]
        row, col, rows, both, cols = (
            np.float32(0), np.float32(0), np.float32(0), np.float32(0), np.float32(0)
        )  # fmt: skip
        for p in range(len(light)):
            root = math.sqrt(light[p])
            wanted = measured[p]
            if unbiased:
                wanted += _bias(root)
            used = np.float32(0) if without[p] else np.float32(1)
            missing = (wanted - root) * used
            share = used / (root if root > np.float32(_DIM_ROOT) else np.float32(_DIM_ROOT))
            first_slope, second_slope = by_row[p] * share, by_col[p] * share
            row += first_slope * missing
            col += second_slope * missing
            rows += first_slope * first_slope
            both += first_slope * second_slope
            cols += second_slope * second_slope
        row_sum += row
        col_sum += col
        rows_sum += rows
        both_sum += both
        cols_sum += cols
    out[0], out[1], out[2], out[3], out[4] = row_sum, col_sum, rows_sum, both_sum, cols_sum


@_compiled
@no_type_check
def compare(
    waves, derivatives, amplitude, members, excluded, pixels, judging, background, unbiased, beam,
    sums, misfit, beams, positions,
):  # fmt: skip
    """Compare waves on the detector with frames, and turn them into their change.

        Psi (sqrt n / sqrt(I + b) - 1),  0 on excluded pixels

    Args:
        waves: (frame, mode, 2 pixels).
        derivatives: of the waves by the position, (frame, 2, mode, 2 pixels); empty for none.
        amplitude: sqrt(n), (frame, pixel).
        members: number of each frame, which says its pattern.
        excluded: 1 on pixels that constrain nothing, (pattern, pixel).
        pixels: that may judge, (pattern, held).
        judging: which of them do.
        background: b, (pixel,).
        unbiased: whether `physics.counting.root_bias` is made up for.
        beam: whether to write `beams`.
        sums: of `background.BackgroundSum`, (4, pixel), added to; empty for none.
        misfit: (frame, 2), written: Poisson deviance / 4 and photons of the judging pixels.
        beams: (frame, 2), written: sum (n - b) and sum I.
        positions: (frame, 5), written: what `_position_sums` finds.
    """
    modelled = np.empty(len(background), np.float32)
    for i in range(len(waves)):
        pattern = members[i] % len(excluded)
        measured, without = amplitude[i], excluded[pattern]
        _photons(waves[i], modelled)
        if beam:
            beams[i, 0], beams[i, 1] = _beam_sums(modelled, measured, without, background)
        if sums.size > 0:
            _add_background(modelled, measured, without, background, sums)
        for p in range(len(background)):
            modelled[p] += background[p]
        misfit[i, 0], misfit[i, 1] = _held_out_misfit(
            modelled, measured, pixels[pattern], judging[pattern]
        )
        if derivatives.size > 0:
            _position_sums(
                waves[i], derivatives[i], modelled, measured, without, unbiased, positions[i]
            )
        _to_change(waves[i], modelled, measured, without, unbiased)


@_compiled
@no_type_check
def amplitudes(stored, factor, counts, out):
    """Write factor sqrt(n) of frames that hold counts, or factor n, zero frequency at pixel 0."""
    n_frames, n, _ = stored.shape
    half = n // 2
    row = np.empty(n, np.float32)
    for i in range(n_frames):
        for r in range(n):
            here, there = stored[i, (r + half) % n], out[i, r]
            for c in range(n):
                row[c] = here[c]
            if counts:
                for c in range(n):
                    row[c] = math.sqrt(row[c])
            for c in range(n - half):
                there[c] = row[half + c] * factor
            for c in range(half):
                there[n - half + c] = row[c] * factor
