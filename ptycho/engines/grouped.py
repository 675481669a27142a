"""The object that a network sees in its groups: predicted and stitched, one part after another.

Data flow: trained model, batches -> patches -> [object].
The phases of patches follow from all of their overlaps at once, so all patches of a part are held
in memory. A scan of more patches is divided into compact parts; what each shows has one phase,
which follows from its overlap with the parts before.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from ptycho.engines.stitching import Stitched, stitch
from ptycho.learning.model import PtychoModel
from ptycho.learning.prediction import predict_patches
from ptycho.physics.overlap import merge_weight
from ptycho.physics.patches import Canvas, canvas_of, window_corners
from ptycho.progress import Track, untracked
from ptycho.scan.dataset import GroupDataset, default_batch_size

MOST_PIXELS = 2**23
"""Pixels of patches that are held at a time: with all that stitching needs, about 0.4 GB."""


class Merged(NamedTuple):
    """An object on a canvas."""

    obj: Complex[Tensor, "height width"]
    """0 where nothing was predicted."""

    coverage: Float[Tensor, "height width"]
    """Sum of the weights of the patches."""


def stitched_groups(
    model: PtychoModel,
    groups: GroupDataset,
    canvas: Canvas,
    *,
    batch_size: int | None,
    device: torch.device,
    track: Track = untracked,
    most_pixels: int = MOST_PIXELS,
) -> Merged:
    """Return the patches that a network predicts for groups, stitched to one object.

    Args:
        model: trained, with the probe of the scan.
        groups: of a scan.
        canvas: holds the windows of all frames.
        batch_size: groups at a time; None chooses by size.
        device: where the network computes.
        track: wraps the batches, given their number, to show progress.
        most_pixels: of patches, held at a time.
    """
    raw, per_group = groups.raw, groups.groups.shape[1]
    at_once = batch_size or default_batch_size(per_group, raw.frame_size, 64)
    middles = raw.positions[groups.groups].mean(axis=1)
    parts = compact_parts(middles, max(1, most_pixels // (model.window**2 * per_group)))
    n_batches = sum(-(-len(part) // at_once) for part in parts)
    shown = iter(track(range(n_batches), n_batches))  # one bar for all parts
    total = torch.zeros(canvas.shape, dtype=torch.complex64)
    coverage = torch.zeros(canvas.shape)
    for part in parts:
        some = GroupDataset(raw, groups.groups[part], probe=groups.probe)
        found, where = _stitched(
            model, some, canvas, batch_size=at_once, device=device,
            track=lambda batches, _: (batch for batch, _ in zip(batches, shown, strict=False)),
        )  # fmt: skip
        seen = found.obj * found.coverage
        agreement = torch.vdot(seen.flatten(), total[where].flatten())
        total[where] += seen * (torch.sgn(agreement) if agreement.abs() > 0 else 1)
        coverage[where] += found.coverage
    return Merged(torch.where(coverage > 0, total / coverage, 0), coverage)


def compact_parts(
    places: Float[np.ndarray, "group 2"], most: int
) -> list[Int[np.ndarray, " member"]]:
    """Divide places into compact parts, each adjacent to an earlier one; return their members.

    Halved across their longer side until they are small enough, lower halves first: so the first
    part of an upper half touches a part of the lower one.

    Args:
        places: (row, col).
        most: members of a part.
    """
    waiting, parts = [np.arange(len(places))], []
    while waiting:
        members = waiting.pop()
        if len(members) <= most:
            parts.append(np.sort(members))
            continue
        here = places[members]
        axis = int(np.ptp(here, axis=0).argmax())
        order = members[np.argsort(here[:, axis], kind="stable")]
        half = len(order) // 2
        waiting += [order[half:], order[:half]]
    return parts


def _stitched(
    model: PtychoModel,
    groups: GroupDataset,
    canvas: Canvas,
    *,
    batch_size: int,
    device: torch.device,
    track: Track,
) -> tuple[Stitched, tuple[slice, slice]]:
    """Return the object that some groups show, and which part of the canvas it is."""
    raw, size, window = groups.raw, groups.raw.frame_size, model.window
    predicted = predict_patches(model, groups, device=device, batch_size=batch_size, track=track)
    positions = torch.from_numpy(raw.positions[predicted.members.numpy()])
    corners, _ = window_corners(positions, size)
    here = canvas_of(positions, size)
    first = size // 2 - window // 2
    inner = slice(first, first + window)
    weight = merge_weight(model.probe.detach().cpu())[inner, inner]
    found = stitch(
        predicted.patches, corners - torch.tensor(here.origin) + first, weight, here.shape,
        group_of=predicted.group_of,
    )  # fmt: skip
    row, col = (mine - whole for mine, whole in zip(here.origin, canvas.origin, strict=True))
    return found, (slice(row, row + here.shape[0]), slice(col, col + here.shape[1]))
