"""Detector pixels held out of a reconstruction, and how well they are predicted.

Data flow: frames -> [held-out pixels] -> judgement of an object.
Frame i has the i-th of 64 random patterns, in turn. Sums stay on the device until an iteration
ends: one transfer to the host per iteration, none per batch.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ptycho.physics.losses import poisson_loss

HELD_OUT = 0.02
"""Share of the detector pixels held out. They are few because they are missed: with 5 % the phase
of one scan at 0.6 linear overlap and 1e6 photons ended 7 dB lower than with 1 %."""

PATTERNS = 64
"""Different patterns of held-out pixels."""


def held_out_patterns(size: int, seed: int) -> Bool[Tensor, "pattern row col"]:
    """Return the patterns of held-out pixels.

    Args:
        size: N, pixels.
        seed: the same one gives the same patterns again.
    """
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(PATTERNS, size, size, generator=generator) < HELD_OUT


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Which pixels of each frame are excluded from the reconstruction, and which of them judge."""

    excluded: Bool[Tensor, "pattern row col"]
    """Pixels that constrain nothing: held-out and bad ones."""

    pixels: Int[Tensor, "pattern held"]
    """Held-out pixels as row-major numbers, filled up with 0."""

    judging: Bool[Tensor, "pattern held"]
    """Which of `pixels` are held-out and good."""

    @classmethod
    def of(
        cls,
        size: int,
        *,
        seed: int,
        good: Bool[np.ndarray, "row col"] | None,
        device: torch.device,
    ) -> "HeldOut":
        """Return the held-out pixels of a scan.

        Args:
            size: N, pixels per side of a frame.
            seed: of the patterns.
            good: mask of the scan; None when all pixels are good.
            device: where they are needed.
        """
        patterns = held_out_patterns(size, seed).flatten(1)
        counts = patterns.sum(dim=1)
        order = torch.argsort(~patterns, dim=1, stable=True)[:, : max(1, int(counts.max()))]
        judging = torch.arange(order.shape[1]) < counts[:, None]
        excluded = patterns.unflatten(1, (size, size))
        if good is not None:
            usable = torch.from_numpy(good)
            judging &= usable.flatten()[order]
            excluded = excluded | ~usable
        return cls(excluded.to(device), order.to(device), judging.to(device))

    def excluded_in(self, members: Int[Tensor, " frame"]) -> Bool[Tensor, "frame row col"]:
        """Return the excluded pixels of some frames.

        Args:
            members: which frames of the scan.
        """
        return self.excluded[members % PATTERNS]

    def add_to(
        self,
        misfit: "Misfit",
        expected: Float[Tensor, "frame row col"],
        amplitude: Float[Tensor, "frame row col"],
        members: Int[Tensor, " frame"],
    ) -> None:
        """Add the held-out pixels of some frames to a misfit.

        Args:
            misfit: so far.
            expected: photons per detector pixel.
            amplitude: sqrt(photons), measured.
            members: which frames of the scan.
        """
        pattern = members % PATTERNS
        pixels, judging = self.pixels[pattern], self.judging[pattern]
        counted = amplitude.flatten(1).gather(1, pixels).square()
        deviance = poisson_loss.distance(expected.flatten(1).gather(1, pixels), counted)
        nothing = torch.zeros_like(counted)
        misfit.add(
            torch.where(judging, deviance, nothing).sum(),
            torch.where(judging, counted, nothing).sum(),
        )


class Misfit:
    """Misfit of held-out pixels, summed over batches: Poisson deviance per photon."""

    def __init__(self) -> None:
        self._parts: list[Tensor] = []
        self._sums: tuple[float, float] | None = None

    def add(self, deviance: Float[Tensor, ""], photons: Float[Tensor, ""]) -> None:
        """Add the sums of a batch, which stay on their device.

        Args:
            deviance: sum of (I - n + n log(n / I)) / 2.
            photons: sum of n.
        """
        self._parts.append(torch.stack([deviance, photons]))
        self._sums = None

    @property
    def value(self) -> float:
        """Deviance per photon of all batches so far."""
        deviance, photons = self._total()
        return deviance / max(photons, 1.0)

    @property
    def tolerance(self) -> float:
        """Two standard errors of the value, relative to it.

        n photons determine a share to n^-1/2. Of two iterations that differ by less the later one
        is preferred: slowly converging parts (coarse phases, faint features) hardly show in few
        photons.
        """
        return 2 * max(self._total()[1], 1.0) ** -0.5

    def _total(self) -> tuple[float, float]:
        if self._sums is None:
            sums = [0.0, 0.0]
            if self._parts:
                sums = torch.stack(self._parts).cpu().double().sum(dim=0).tolist()
            self._sums = sums[0], sums[1]
        return self._sums
