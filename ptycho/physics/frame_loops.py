"""Loops over the pixels of frames compiled by Numba: what an iteration does to a few frames.

Data flow: batches -> network + [physics] -> trained model.
Loaded by `compiled` only: importing takes longer than a few frames.

Waves are planar: (mode, 2, pixel) with real parts and imaginary parts apart, so that `vector_fft`
transforms them in place. Objects are complex numbers seen as float32, (row, 2 col). Frames and
waves on the detector have their zero frequency at pixel 0. The loops release the interpreter lock;
no thread writes where another one does. `n`, the side of a frame, is a constant to the compiler.
`no_type_check` keeps the checks that tests put around functions out of what Numba compiles.
"""

import math
from collections.abc import Callable
from typing import Any, no_type_check

import numba
import numpy as np

from ptycho.physics.vector_fft import fft2_in_place, work_size

_OPTIONS: dict[str, Any] = {
    "nogil": True, "error_model": "numpy",
    "fastmath": {"nsz", "nnan"},
}  # fmt: skip
_DARK = 1e-6  # photons: `physics.losses.DARK`
_DIM = 1e-4  # of the largest modelled modulus; see `physics.detector.Detector.corrected`
_DIM_ROOT = 1e-3  # sqrt(photons): as in `engines.position_steps.position_sums`
_SHORT = 512  # pixels that are summed in single precision
_TINY = float(np.finfo(np.float32).tiny)


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile when first called; keep the result on disk where a folder is writable."""
    try:
        cached: Callable[..., Any] = numba.njit(function, **_OPTIONS, cache=True)
    except RuntimeError:  # "no locator available": neither this folder nor the user's cache
        cached = numba.njit(function, **_OPTIONS)
    return cached


# Single frames


@_compiled
@no_type_check
def _ramp(fraction, re, im):
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


@_compiled
@no_type_check
def _times_ramps(spectrum, row_ramp, col_ramp, factor, back, out, add):
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


@_compiled
@no_type_check
def _exit_waves(obj, top, left, probe, factor, out, n):
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


@_compiled
@no_type_check
def _times_patch(obj, top, left, change, out, weight, n):
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


@_compiled
@no_type_check
def _photons(waves, out):
    """Write the photons of the waves of one frame."""
    re, im = waves[0, 0], waves[0, 1]
    for p in range(len(out)):
        out[p] = re[p] * re[p] + im[p] * im[p]
    for m in range(1, len(waves)):
        re, im = waves[m, 0], waves[m, 1]
        for p in range(len(out)):
            out[p] += re[p] * re[p] + im[p] * im[p]


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
def _held_out_misfit(modelled, amplitude, pixels, judging, out):
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


@_compiled
@no_type_check
def _beam_sums(modelled, amplitude, excluded, background, out):
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


@_compiled
@no_type_check
def _add_background(modelled, amplitude, excluded, background, sums):
    """Add a frame to the sums of `engines.background.BackgroundSum`, (4, pixels)."""
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
def _add_slopes(waves, moved, out):
    """Add sum Re(conj(Psi) dPsi/dr) of some modes."""
    for m in range(len(waves)):
        re, im, d_re, d_im = waves[m, 0], waves[m, 1], moved[m, 0], moved[m, 1]
        for p in range(len(out)):
            out[p] += re[p] * d_re[p] + im[p] * d_im[p]


@_compiled
@no_type_check
def _position_sums(by_row, by_col, modelled, amplitude, excluded, unbiased, out):
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


@_compiled
@no_type_check
def _to_change(waves, modelled, amplitude, excluded, unbiased, factor):
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
    for m in range(len(waves)):
        re, im = waves[m, 0], waves[m, 1]
        for p in range(len(modelled)):
            re[p] *= modelled[p]
            im[p] *= modelled[p]


@_compiled
@no_type_check
def _place(change, probe, top, left, step, light, first, last, n):
    """Add conj(P) change and |P|^2 to canvas rows first ... last - 1; return the most light."""
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


@_compiled
@no_type_check
def _transform(waves, back, work, n):
    """Transform all modes in place, unnormalised: forward with `back` 0, backward with 1.

    The backward transform is the forward one with real and imaginary parts exchanged.
    """
    n = numba.literally(n)
    for m in range(len(waves)):
        fft2_in_place(n, waves[m, back], waves[m, 1 - back], work[0], work[1])


# Several frames


@_compiled
@no_type_check
def _move_probes(spectrum, fractions, factors, probes, slopes, n):
    """See `Loops.move_probes`."""
    n = numba.literally(n)
    ramps, turn = np.empty((2, 2, n), np.float32), np.empty(n, np.float32)
    work = np.empty((2, work_size(n)), np.float32)
    for k in range(n):
        turn[k] = 2 * math.pi / n * (k if 2 * k < n else k - n)
    for i in range(len(fractions)):
        probe = probes[i]
        for axis in range(2):
            _ramp(fractions[i, axis], ramps[axis, 0], ramps[axis, 1])
        factor = factors[i] / np.float32(n * n)
        _times_ramps(spectrum, ramps[0], ramps[1], factor, False, probe, False)
        if slopes.size > 0:
            for m in range(len(spectrum)):
                for r in range(n):
                    re, im = probe[m, 0, r * n : (r + 1) * n], probe[m, 1, r * n : (r + 1) * n]
                    row_re, row_im = (
                        slopes[i, 0, m, 0, r * n : (r + 1) * n],
                        slopes[i, 0, m, 1, r * n : (r + 1) * n],
                    )
                    col_re, col_im = (
                        slopes[i, 1, m, 0, r * n : (r + 1) * n],
                        slopes[i, 1, m, 1, r * n : (r + 1) * n],
                    )
                    for c in range(n):
                        row_re[c], row_im[c] = im[c] * turn[r], -re[c] * turn[r]
                        col_re[c], col_im[c] = im[c] * turn[c], -re[c] * turn[c]
            _transform(slopes[i, 0], 1, work, n)
            _transform(slopes[i, 1], 1, work, n)
        _transform(probe, 1, work, n)


@_compiled
@no_type_check
def _update(
    obj, corners, probes, slopes, fractions, amplitude, members, excluded, pixels, judging,
    background, unbiased, misfit, photons, positions, sums, probe_step, probe_weight, changes, n,
):  # fmt: skip
    """See `Loops.update`."""
    n = numba.literally(n)
    n_modes, n_pixels = probes.shape[1], n * n
    one_over_n = np.float32(1.0 / n)
    moved = np.empty((n_modes if slopes.size or probe_step.size else 0, 2, n_pixels), np.float32)
    by = np.empty((2, n_pixels if slopes.size else 0), np.float32)
    ramps = np.empty((2, 2, n), np.float32)
    work = np.empty((2, work_size(n)), np.float32)
    modelled = np.empty(n_pixels, np.float32)
    for i in range(len(corners)):
        waves, probe = changes[i], probes[i]
        top, left = corners[i, 0], corners[i, 1]
        pattern = members[i] % len(excluded)
        measured, without = amplitude[i], excluded[pattern]
        _exit_waves(obj, top, left, probe, one_over_n, waves, n)
        _transform(waves, 0, work, n)
        _photons(waves, modelled)
        if photons.size > 0:
            _beam_sums(modelled, measured, without, background, photons[i])
        if sums.size > 0:
            _add_background(modelled, measured, without, background, sums)
        for p in range(n_pixels):
            modelled[p] += background[p]
        _held_out_misfit(modelled, measured, pixels[pattern], judging[pattern], misfit[i])
        if slopes.size > 0:
            by[:] = np.float32(0)
            for axis in range(2):
                _exit_waves(obj, top, left, slopes[i, axis], one_over_n, moved, n)
                _transform(moved, 0, work, n)
                _add_slopes(waves, moved, by[axis])
            _position_sums(by[0], by[1], modelled, measured, without, unbiased, positions[i])
        _to_change(waves, modelled, measured, without, unbiased, one_over_n)
        _transform(waves, 1, work, n)
        if probe_step.size > 0:
            _times_patch(obj, top, left, waves, moved, probe_weight, n)
            _transform(moved, 0, work, n)
            for axis in range(2):
                _ramp(fractions[i, axis], ramps[axis, 0], ramps[axis, 1])
            _times_ramps(moved, ramps[0], ramps[1], np.float32(1), True, probe_step, True)


@_compiled
@no_type_check
def _place_all(changes, probes, corners, step, light, first, last, n):
    """See `Loops.place`."""
    n = numba.literally(n)
    most = np.float32(0)
    for i in range(len(corners)):
        lit = _place(
            changes[i], probes[i], corners[i, 0], corners[i, 1], step, light, first, last, n
        )
        most = lit if lit > most else most
    return most


@_compiled
@no_type_check
def _apply(obj, step, light, corners, damped, first, last, n):
    """See `Loops.apply`."""
    n = numba.literally(n)
    share = np.empty(n, np.float32)
    for i in range(len(corners)):
        top, left = corners[i, 0], corners[i, 1]
        for r in range(max(0, first - top), min(n, last - top)):
            re, im = step[0, top + r, left : left + n], step[1, top + r, left : left + n]
            lit = light[top + r, left : left + n]
            here = obj[top + r, 2 * left : 2 * (left + n)]
            for c in range(n):  # in short loops, which vectorise
                share[c] = np.float32(1) / (lit[c] + damped)
            for c in range(n):
                here[2 * c] += re[c] * share[c]
                here[2 * c + 1] += im[c] * share[c]
            re[:], im[:], lit[:] = np.float32(0), np.float32(0), np.float32(0)


@_compiled
@no_type_check
def _apply_everywhere(canvases, step, light, damping):
    """See `Loops.apply_everywhere`."""
    height = canvases.shape[1]
    for g in range(len(canvases)):
        most = np.float32(0)
        for r in range(height):
            lit = light[g * height + r]
            for c in range(len(lit)):
                most = lit[c] if lit[c] > most else most
        for r in range(height):
            here, lit = canvases[g, r], light[g * height + r]
            re, im = step[0, g * height + r], step[1, g * height + r]
            for c in range(len(lit)):
                share = np.float32(1) / (lit[c] + damping * most)
                here[2 * c] += re[c] * share
                here[2 * c + 1] += im[c] * share


@_compiled
@no_type_check
def _amplitudes(stored, factor, counts, out):
    """See `Loops.amplitudes`."""
    n_frames, n, _ = stored.shape
    half = n // 2
    row = np.empty(n, np.float32)
    for i in range(n_frames):
        for r in range(n):
            here, there = stored[i, (r + half) % n], out[i, r * n : (r + 1) * n]
            for c in range(n):
                row[c] = here[c]
            if counts:
                for c in range(n):
                    row[c] = math.sqrt(row[c])
            for c in range(n - half):
                there[c] = row[half + c] * factor
            for c in range(half):
                there[n - half + c] = row[c] * factor


class Loops:
    """The loops for frames of one size.

    Args:
        n: pixels per side, one that `vector_fft.serves`.
    """

    def __init__(self, n: int):
        @_compiled
        @no_type_check
        def move_probes(spectrum, fractions, factors, probes, slopes):
            _move_probes(spectrum, fractions, factors, probes, slopes, n)

        @_compiled
        @no_type_check
        def update(
            obj, corners, probes, slopes, fractions, amplitude, members, excluded, pixels, judging,
            background, unbiased, misfit, photons, positions, sums, probe_step, probe_weight,
            changes,
        ):  # fmt: skip
            _update(
                obj, corners, probes, slopes, fractions, amplitude, members, excluded, pixels,
                judging, background, unbiased, misfit, photons, positions, sums, probe_step,
                probe_weight, changes, n,
            )  # fmt: skip

        @_compiled
        @no_type_check
        def place(changes, probes, corners, step, light, first, last):
            return _place_all(changes, probes, corners, step, light, first, last, n)

        @_compiled
        @no_type_check
        def apply(obj, step, light, corners, damped, first, last):
            _apply(obj, step, light, corners, damped, first, last, n)

        self.move_probes = move_probes
        """Write probes moved by fractions of a pixel, times a factor each.

        Args:
            spectrum: of the probe, (mode, 2, pixel), zero frequency at pixel 0.
            fractions: (frame, 2), rows and columns.
            factors: (frame,).
            probes: (frame, mode, 2, pixel), written.
            slopes: (frame, 2, mode, 2, pixel), written: their derivatives by the position, rows and
                columns; empty for none.
        """
        self.update = update
        """Compare waves with frames, and find the change of their exit waves.

            psi = P o,  Psi = F psi,  change = F^-1 [Psi (sqrt n / sqrt(I + b) - 1)]

        with 0 for the bracket on excluded pixels. Arrays are empty where nothing is asked for.

        Args:
            obj: (row, 2 col).
            corners: (frame, 2), first (row, col) of each window.
            probes: (frame, mode, 2, pixel), moved to each position.
            slopes: their derivatives by the position; to fill `positions`.
            fractions: (frame, 2), by which the probes were moved; to fill `probe_step`.
            amplitude: sqrt(n), (frame, pixel).
            members: number of each frame, which says its pattern.
            excluded: 1 on pixels that constrain nothing, (pattern, pixel).
            pixels: that may judge, (pattern, held).
            judging: which of them do.
            background: b, (pixel,).
            unbiased: whether `physics.counting.root_bias` is made up for.
            misfit: (frame, 2), written: Poisson deviance / 4 and photons of the judging pixels.
            photons: (frame, 2), written: sum (n - b) and sum I over the used pixels.
            positions: (frame, 5), written: see `engines.position_steps.position_sums`.
            sums: (4, pixel), added to: see `engines.background.BackgroundSum`.
            probe_step: (mode, 2, pixel), added to: spectrum of sum conj(o) change, moved back.
            probe_weight: (pixel,), added to: sum |o|^2.
            changes: (frame, mode, 2, pixel), written.
        """
        self.place = place
        """Add conj(P) change to a step, and |P|^2 to light, in canvas rows first ... last - 1.

        Args:
            changes: as for `update`.
            probes: as for `update`.
            corners: as for `update`.
            step: (2, row, col) of the canvas, added to.
            light: (row, col) of the canvas, added to.
            first: row.
            last: row behind the last.

        Returns:
            The most light on a pixel that was reached.
        """
        self.apply = apply
        """Add step / (light + damped) to an object, and set both to 0, in some canvas rows.

        Only where windows lie; there both are 0 after the first of the windows, so that the others
        change nothing. Arguments as for `place`, and `damped`, added to all light.
        """
        self.apply_everywhere = _apply_everywhere
        """Add step / (light + damping times the most light) to each of some objects.

        Args:
            canvases: (object, row, 2 col), changed.
            step: (2, row, col) with the objects below each other.
            light: (row, col), likewise.
            damping: relative to the most light on each.
        """
        self.amplitudes = _amplitudes
        """Write factor sqrt(n) of frames that hold counts, or factor n, zero frequency at pixel 0.

        Args:
            stored: (frame, row, col), zero frequency at N//2.
            factor: times each value.
            counts: whether the root is taken.
            out: (frame, pixel), written.
        """
