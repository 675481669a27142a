"""Loops over some frames compiled by Numba: what an iteration does between reading and the object.

Data flow: batches -> network + [physics] -> trained model.
Loaded by `compiled` only: importing takes longer than a few frames.

Waves are planar: (mode, 2, pixel) with real parts and imaginary parts apart, so that `vector_fft`
transforms them in place. Objects are complex numbers seen as float32, (row, 2 col). Frames and
waves on the detector have their zero frequency at pixel 0. The loops release the interpreter lock;
no thread writes where another one does. `n`, the side of a frame, is a constant to the compiler.
`no_type_check` keeps the checks that tests put around functions out of what Numba compiles.
"""

import math
import zlib
from pathlib import Path
from typing import no_type_check

import numba
import numpy as np

from ptycho.compiling import kept
from ptycho.physics import pixel_loops as single
from ptycho.physics.pixel_loops import OPTIONS, compiled
from ptycho.physics.vector_fft import work_size


def _source() -> int:
    """Return a number that changes with the loops, on which what is kept on disk depends.

    Numba itself looks at the file of the outermost function only.
    """
    names = ("vector_fft.py", "pixel_loops.py", "frame_loops.py")
    return zlib.crc32(b"".join((Path(__file__).parent / name).read_bytes() for name in names))


@compiled
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
            single.ramp(fractions[i, axis], ramps[axis, 0], ramps[axis, 1])
        factor = factors[i] / np.float32(n * n)
        single.times_ramps(spectrum, ramps[0], ramps[1], factor, False, probe, False)
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
            single.transform(slopes[i, 0], 1, work, n)
            single.transform(slopes[i, 1], 1, work, n)
        single.transform(probe, 1, work, n)


@compiled
@no_type_check
def _update(
    obj, corners, probes, slopes, fractions, amplitude, members, excluded, pixels, judging,
    background, unbiased, excess, misfit, photons, positions, sums, probe_step, probe_weight,
    changes, n,
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
        single.exit_waves(obj, top, left, probe, one_over_n, waves, n)
        single.transform(waves, 0, work, n)
        single.photons(waves, modelled)
        if photons.size > 0:
            single.beam_sums(modelled, measured, without, background, photons[i])
        if sums.size > 0:
            single.add_background(modelled, measured, without, background, sums)
        for p in range(n_pixels):
            modelled[p] += background[p]
        single.held_out_misfit(modelled, measured, pixels[pattern], judging[pattern], misfit[i])
        if slopes.size > 0:
            by[:] = np.float32(0)
            for axis in range(2):
                single.exit_waves(obj, top, left, slopes[i, axis], one_over_n, moved, n)
                single.transform(moved, 0, work, n)
                single.add_slopes(waves, moved, by[axis])
            single.position_sums(by[0], by[1], modelled, measured, without, unbiased, positions[i])
        if excess < 0:
            single.to_change(waves, modelled, measured, without, unbiased, one_over_n)
        else:
            single.to_likely_change(waves, modelled, measured, without, excess, one_over_n)
        single.transform(waves, 1, work, n)
        if probe_step.size > 0:
            single.times_patch(obj, top, left, waves, moved, probe_weight, n)
            single.transform(moved, 0, work, n)
            for axis in range(2):
                single.ramp(fractions[i, axis], ramps[axis, 0], ramps[axis, 1])
            single.times_ramps(moved, ramps[0], ramps[1], np.float32(1), True, probe_step, True)


@compiled
@no_type_check
def _place_all(changes, probes, corners, step, light, first, last, n):
    """See `Loops.place`."""
    n = numba.literally(n)
    most = np.float32(0)
    for i in range(len(corners)):
        lit = single.place(changes[i], probes[i], corners[i], step, light, first, last, n)
        most = lit if lit > most else most
    return most


@compiled
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


@compiled
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


@compiled
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
        kept_here, source = kept(**OPTIONS), _source()

        @kept_here
        @no_type_check
        def move_probes(spectrum, fractions, factors, probes, slopes):
            _ = source
            _move_probes(spectrum, fractions, factors, probes, slopes, n)

        @kept_here
        @no_type_check
        def update(
            obj, corners, probes, slopes, fractions, amplitude, members, excluded, pixels, judging,
            background, unbiased, excess, misfit, photons, positions, sums, probe_step,
            probe_weight, changes,
        ):  # fmt: skip
            _ = source
            _update(
                obj, corners, probes, slopes, fractions, amplitude, members, excluded, pixels,
                judging, background, unbiased, excess, misfit, photons, positions, sums,
                probe_step, probe_weight, changes, n,
            )  # fmt: skip

        @kept_here
        @no_type_check
        def place(changes, probes, corners, step, light, first, last):
            _ = source
            return _place_all(changes, probes, corners, step, light, first, last, n)

        @kept_here
        @no_type_check
        def apply(obj, step, light, corners, damped, first, last):
            _ = source
            _apply(obj, step, light, corners, damped, first, last, n)

        @kept_here
        @no_type_check
        def apply_everywhere(canvases, step, light, damping):
            _ = source
            _apply_everywhere(canvases, step, light, damping)

        @kept_here
        @no_type_check
        def amplitudes(stored, factor, counts, out):
            _ = source
            _amplitudes(stored, factor, counts, out)

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

        with 0 for the bracket on excluded pixels; or, for a likelihood with an excess variance,
        with (n / (I + b) - 1) / (1 + excess (I + b)) for it. Arrays are empty where nothing is
        asked for.

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
            excess: variance of a count beyond Poisson's, over its squared mean; negative asks for
                the measured modulus instead.
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
        self.apply_everywhere = apply_everywhere
        """Add step / (light + damping times the most light) to each of some objects.

        Args:
            canvases: (object, row, 2 col), changed.
            step: (2, row, col) with the objects below each other.
            light: (row, col), likewise.
            damping: relative to the most light on each.
        """
        self.amplitudes = amplitudes
        """Write factor sqrt(n) of frames that hold counts, or factor n, zero frequency at pixel 0.

        Args:
            stored: (frame, row, col), zero frequency at N//2.
            factor: times each value.
            counts: whether the root is taken.
            out: (frame, pixel), written.
        """
