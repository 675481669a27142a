"""Loops over the pixels of one frame compiled by Numba: what an iteration does to it.

Data flow: batches -> network + [physics] -> trained model.
For `frame_loops`, which says how waves, objects and frames are laid out. Nothing is kept on disk
here: what `frame_loops` keeps contains it. Products are added where the source says so, not where
the optimiser likes to (no "contract"), and sums taken in order (no "reassoc"), so that results do
not depend on what was compiled together.
"""

import math
from typing import Any, no_type_check

import numba
import numpy as np

from ptycho.physics.vector_fft import fft2_in_place

OPTIONS: dict[str, Any] = {
    "nogil": True, "error_model": "numpy", "fastmath": {"nsz", "nnan"},
}  # fmt: skip
"""Of all loops over frames."""

_DARK = 1e-6  # photons: `physics.losses.DARK`
_DIM = 1e-4  # of the largest modelled modulus; see `physics.detector.Detector.corrected`
_DIM_ROOT = 1e-3  # sqrt(photons): as in `engines.position_steps.position_sums`
_DIM_COUNT = 1e-3  # photons: `physics.detector.DIM`
_SHORT = 512  # pixels that are summed in single precision
_TINY = float(np.finfo(np.float32).tiny)

compiled = numba.njit(**OPTIONS)


@compiled
@no_type_check
def ramp(fraction, re, im):
    """Write exp(-2 pi i f k) for all frequencies k of an axis, zero frequency first."""
    n = len(re)
    step_re = math.cos(-2 * math.pi * fraction / n)
    step_im = math.sin(-2 * math.pi * fraction / n)
    at_re, at_im = 1.0, 0.0
    for i in range(n // 2 + 1):
        j = (n - i) % n
        re[i], im[i] = at_re, at_im
        re[j], im[j] = at_re, -at_im
        at_re, at_im = at_re * step_re - at_im * step_im, at_re * step_im + at_im * step_re


@compiled
@no_type_check
def times_ramps(spectrum, row_ramp, col_ramp, factor, back, out, add):
    """Write (or add) a spectrum times the ramps of both axes, or their conjugates if `back`."""
    n = row_ramp.shape[1]
    col_re, col_im = col_ramp[0], col_ramp[1]
    sign = np.float32(-1) if back else np.float32(1)
    for m in range(len(spectrum)):
        for r in range(n):
            row_re, row_im = row_ramp[0, r] * factor, row_ramp[1, r] * factor
            re, im = spectrum[m, 0, r * n : (r + 1) * n], spectrum[m, 1, r * n : (r + 1) * n]
            to_re, to_im = out[m, 0, r * n : (r + 1) * n], out[m, 1, r * n : (r + 1) * n]
            if add:
                for c in range(n):
                    w_re = col_re[c] * row_re - col_im[c] * row_im
                    w_im = (col_re[c] * row_im + col_im[c] * row_re) * sign
                    to_re[c] += re[c] * w_re - im[c] * w_im
                    to_im[c] += re[c] * w_im + im[c] * w_re
            else:
                for c in range(n):
                    w_re = col_re[c] * row_re - col_im[c] * row_im
                    w_im = (col_re[c] * row_im + col_im[c] * row_re) * sign
                    to_re[c] = re[c] * w_re - im[c] * w_im
                    to_im[c] = re[c] * w_im + im[c] * w_re


@compiled
@no_type_check
def exit_waves(obj, top, left, probe, factor, out, n):
    """Write probe times object in one window, times a factor."""
    for r in range(n):
        patch = obj[top + r, 2 * left : 2 * (left + n)]
        for m in range(len(probe)):
            re, im = probe[m, 0, r * n : (r + 1) * n], probe[m, 1, r * n : (r + 1) * n]
            to_re, to_im = out[m, 0, r * n : (r + 1) * n], out[m, 1, r * n : (r + 1) * n]
            for c in range(n):
                o_re, o_im = patch[2 * c] * factor, patch[2 * c + 1] * factor
                to_re[c] = re[c] * o_re - im[c] * o_im
                to_im[c] = re[c] * o_im + im[c] * o_re


@compiled
@no_type_check
def times_patch(obj, top, left, change, out, weight, n):
    """Write conj(o) change in one window, and add |o|^2 to `weight`."""
    for r in range(n):
        patch = obj[top + r, 2 * left : 2 * (left + n)]
        total = weight[r * n : (r + 1) * n]
        for c in range(n):
            total[c] += patch[2 * c] * patch[2 * c] + patch[2 * c + 1] * patch[2 * c + 1]
        for m in range(len(change)):
            re, im = change[m, 0, r * n : (r + 1) * n], change[m, 1, r * n : (r + 1) * n]
            to_re, to_im = out[m, 0, r * n : (r + 1) * n], out[m, 1, r * n : (r + 1) * n]
            for c in range(n):
                o_re, o_im = patch[2 * c], patch[2 * c + 1]
                to_re[c] = re[c] * o_re + im[c] * o_im
                to_im[c] = im[c] * o_re - re[c] * o_im


@compiled
@no_type_check
def photons(waves, out):
    """Write the photons of the waves of one frame."""
    re, im = waves[0, 0], waves[0, 1]
    for p in range(len(out)):
        out[p] = re[p] * re[p] + im[p] * im[p]
    for m in range(1, len(waves)):
        re, im = waves[m, 0], waves[m, 1]
        for p in range(len(out)):
            out[p] += re[p] * re[p] + im[p] * im[p]


@compiled
@no_type_check
def _bias(root):
    """Return `physics.counting.root_bias`."""
    q, r, s = np.float32(0.4342857), np.float32(0.2256318), np.float32(1.5400139)
    squared = root * root
    whole = np.float32(1) + root + squared * (q + s * root + np.float32(8) * r * squared)
    return root * (np.float32(1) + r * squared) / whole


@compiled
@no_type_check
def held_out_misfit(modelled, amplitude, pixels, judging, out):
    """Write the Poisson deviance / 4 of the judging pixels of a frame, and their photons."""
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
    out[0], out[1] = deviance, light


@compiled
@no_type_check
def beam_sums(modelled, amplitude, excluded, background, out):
    """Write sum (n - b) and sum I over the pixels that are not excluded."""
    counted, expected = 0.0, 0.0
    for first in range(0, len(modelled), _SHORT):
        part, other = np.float32(0), np.float32(0)
        light, measured = modelled[first : first + _SHORT], amplitude[first : first + _SHORT]
        without, more = excluded[first : first + _SHORT], background[first : first + _SHORT]
        for p in range(len(light)):
            used = np.float32(0) if without[p] else np.float32(1)
            part += (measured[p] * measured[p] - more[p]) * used
            other += light[p] * used
        counted += part
        expected += other
    out[0], out[1] = counted, expected


@compiled
@no_type_check
def add_background(modelled, amplitude, excluded, background, sums):
    """Add a frame to the sums of `engines.background.BackgroundSum`, (4, pixels)."""
    ones, excess, first, second = sums[0], sums[1], sums[2], sums[3]
    for p in range(len(modelled)):
        used = np.float32(0) if excluded[p] else np.float32(1)
        weight = used / (modelled[p] + background[p] + np.float32(1))
        ones[p] += weight
        excess[p] += weight * (amplitude[p] * amplitude[p] - modelled[p])
        first[p] += weight * modelled[p]
        second[p] += weight * modelled[p] * modelled[p]


@compiled
@no_type_check
def add_slopes(waves, moved, out):
    """Add sum Re(conj(Psi) dPsi/dr) of some modes."""
    for m in range(len(waves)):
        re, im, d_re, d_im = waves[m, 0], waves[m, 1], moved[m, 0], moved[m, 1]
        for p in range(len(out)):
            out[p] += re[p] * d_re[p] + im[p] * d_im[p]


@compiled
@no_type_check
def position_sums(by_row, by_col, modelled, amplitude, excluded, unbiased, out):
    """Write J^T missing (rows, columns) and J^T J (rows, both, columns) of one frame.

    See `engines.position_steps.position_sums`; `modelled` are the photons I, background included.
    """
    row_sum, col_sum, rows_sum, both_sum, cols_sum = 0.0, 0.0, 0.0, 0.0, 0.0
    for first in range(0, len(modelled), _SHORT):
        light, measured = modelled[first : first + _SHORT], amplitude[first : first + _SHORT]
        without = excluded[first : first + _SHORT]
        along, across = by_row[first : first + _SHORT], by_col[first : first + _SHORT]
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
            first_slope, second_slope = along[p] * share, across[p] * share
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


@compiled
@no_type_check
def times(waves, factors):
    """Multiply the waves of a frame by a factor per pixel."""
    for m in range(len(waves)):
        re, im = waves[m, 0], waves[m, 1]
        for p in range(len(factors)):
            re[p] *= factors[p]
            im[p] *= factors[p]


@compiled
@no_type_check
def to_change(waves, modelled, amplitude, excluded, unbiased, factor):
    """Turn the waves of a frame into their change, Psi (sqrt n / sqrt I - 1), times a factor.

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
        ratio = (wanted / bright - np.float32(1)) * factor
        modelled[p] = np.float32(0) if excluded[p] else ratio
    times(waves, modelled)


@compiled
@no_type_check
def to_likely_change(waves, modelled, amplitude, excluded, excess, factor):
    """Turn the waves of a frame into Psi (n / I - 1) / (1 + excess I), times a factor.

    `modelled` are the photons I, background included; used up.
    """
    for p in range(len(modelled)):
        light = modelled[p] + np.float32(_DIM_COUNT)
        counted = amplitude[p] * amplitude[p]
        rate = (counted / light - np.float32(1)) / (np.float32(1) + excess * light) * factor
        modelled[p] = np.float32(0) if excluded[p] else rate
    times(waves, modelled)


@compiled
@no_type_check
def place(change, probe, corner, step, light, first, last, n):
    """Add conj(P) change and |P|^2 to canvas rows first ... last - 1; return the most light."""
    top, left = corner[0], corner[1]
    most = np.float32(0)
    for r in range(max(0, first - top), min(n, last - top)):
        to_re, to_im = step[0, top + r, left : left + n], step[1, top + r, left : left + n]
        lit = light[top + r, left : left + n]
        for m in range(len(probe)):
            re, im = probe[m, 0, r * n : (r + 1) * n], probe[m, 1, r * n : (r + 1) * n]
            w_re, w_im = change[m, 0, r * n : (r + 1) * n], change[m, 1, r * n : (r + 1) * n]
            for c in range(n):
                to_re[c] += re[c] * w_re[c] + im[c] * w_im[c]
                to_im[c] += re[c] * w_im[c] - im[c] * w_re[c]
                lit[c] += re[c] * re[c] + im[c] * im[c]
        for c in range(n):
            most = lit[c] if lit[c] > most else most
    return most


@compiled
@no_type_check
def transform(waves, back, work, n):
    """Transform all modes in place, unnormalised: forward with `back` 0, backward with 1.

    The backward transform is the forward one with real and imaginary parts exchanged.
    """
    n = numba.literally(n)
    for m in range(len(waves)):
        fft2_in_place(n, waves[m, back], waves[m, 1 - back], work[0], work[1])
