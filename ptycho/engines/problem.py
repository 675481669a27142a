"""What every engine is handed and what it returns: problem and start in, solution out.

Data flow: patches -> object -> [engine] -> object.
Everything lies on the chosen device for the whole run; frames too, where they fit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from ptycho.engines.ending import Ending
from ptycho.engines.held_out import HeldOut, Misfit
from ptycho.engines.nuisances import Nuisances, Refine
from ptycho.physics.detector import Measured
from ptycho.physics.forward import ForwardModel
from ptycho.physics.patches import Canvas, cut_patches, window_corners
from ptycho.progress import Track
from ptycho.scan.dataset import GroupDataset

_SHARE_OF_MEMORY = 0.4  # of the free memory of a GPU that the frames may take


Batches = Iterator[tuple[Int[Tensor, " frame"], Float[Tensor, "frame row col"]]]
"""Which frames, and their amplitudes, some at a time."""


class PlacedFrames(NamedTuple):
    """A batch of single frames, placed on the canvas of the whole scan."""

    members: Int[Tensor, " frame"]
    """Which frames of the scan."""

    corners: Int[Tensor, "frame 2"]
    """First (row, col) of each window on the canvas."""

    fractions: Float[Tensor, "frame 2"]
    """Sub-pixel rest of each position, carried by the probe."""

    measured: Measured
    """Amplitudes; excluded are bad and held-out pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """The frames of one scan, and where the object that explains them lies."""

    frames: GroupDataset
    """Frames to explain, as groups of one."""

    canvas: Canvas
    """Holds the windows of all frames, also where they may move to."""

    device: torch.device
    """Where everything is computed."""

    held_out: HeldOut
    """Pixels that judge."""

    forward: ForwardModel
    """How an object makes the frames, on the device."""

    seed: int = 0
    """Of the order of the frames and of the pixels held out."""

    batch_size: int | None = None
    """Frames corrected together; None leaves it to the engine."""

    unbiased: bool = False
    """Whether the bias of counted roots is made up for; see `physics.detector.Measured`."""

    resident: Float[Tensor, "frame row col"] | None = None
    """Amplitudes of all frames on the device; None reads them batch by batch."""

    origin: Int[Tensor, "2"]
    """Origin of the canvas, on the device."""

    @classmethod
    def of(
        cls,
        frames: GroupDataset,
        canvas: Canvas,
        *,
        device: torch.device,
        seed: int = 0,
        batch_size: int | None = None,
        positions: Float[Tensor, "position 2"] | None = None,
        unbiased: bool = False,
    ) -> "Problem":
        """Return the problem of a scan; arguments as its attributes.

        Args:
            frames: frames to explain, as groups of one.
            canvas: holds their windows.
            device: where to compute.
            seed: of order and held-out pixels.
            batch_size: frames corrected together; None leaves it to the engine.
            positions: of all frames where the engine starts; None takes the scan's.
            unbiased: whether the bias of counted roots is made up for.

        Raises:
            ValueError: If a window leaves the canvas.
        """
        size = frames.raw.frame_size
        known = torch.from_numpy(frames.raw.positions) if positions is None else positions.cpu()
        _check_canvas(known[torch.from_numpy(frames.groups.ravel())], size, canvas)
        return cls(
            frames=frames,
            canvas=canvas,
            device=device,
            held_out=HeldOut.of(size, seed=seed, good=frames.raw.mask, device=device),
            forward=frames.forward.to(device),
            seed=seed,
            batch_size=batch_size,
            unbiased=unbiased,
            resident=_resident(frames, device),
            origin=torch.tensor(canvas.origin, device=device),
        )

    @property
    def members(self) -> Int[np.ndarray, " frame"]:
        """Which frames of the scan take part."""
        return self.frames.groups.ravel()

    def parts(
        self, size: int, generator: torch.Generator | None = None
    ) -> Iterator[Int[Tensor, " frame"]]:
        """Yield places in `members`, some at a time, on the CPU.

        Args:
            size: frames at a time.
            generator: of the order; None keeps that of the scan.
        """
        n_frames = len(self.frames)
        order = (
            torch.arange(n_frames)
            if generator is None
            else torch.randperm(n_frames, generator=generator)
        )
        yield from order.split(size)

    def batch(
        self, part: Int[Tensor, " frame"]
    ) -> tuple[Int[Tensor, " frame"], Float[Tensor, "frame row col"]]:
        """Return which frames, and their amplitudes, on the device.

        Args:
            part: places in `members`, on the CPU.
        """
        chosen = torch.from_numpy(self.members[part.numpy()].astype(np.int64))
        if self.resident is not None:
            return chosen.to(self.device), self.resident[part.to(self.device)]
        amplitude = torch.from_numpy(self.frames.raw.amplitude(chosen.numpy()))
        return chosen.to(self.device), amplitude.to(self.device)

    def batches(self, size: int) -> Batches:
        """Yield which frames, and their amplitudes, some at a time, on the device.

        Args:
            size: frames at a time.
        """
        return map(self.batch, self.parts(size))

    def placed(
        self,
        members: Int[Tensor, " frame"],
        amplitude: Float[Tensor, "frame row col"],
        nuisances: Nuisances,
        excess: float | None = None,
    ) -> PlacedFrames:
        """Place some frames on the canvas.

        Args:
            members: which frames of the scan.
            amplitude: theirs.
            nuisances: positions and background.
            excess: of a likelihood; see `physics.detector.Measured`.
        """
        size = amplitude.shape[-1]
        corners, fractions = window_corners(nuisances.positions[members], size)
        excluded = self.held_out.excluded_in(members)
        measured = Measured(amplitude, excluded, nuisances.background, self.unbiased, excess)
        return PlacedFrames(members, corners - self.origin, fractions, measured)

    @torch.no_grad()
    def misfit(self, estimate: "Estimate", batch_size: int = 64) -> Misfit:
        """Return how well an estimate predicts the held-out pixels.

        Args:
            estimate: on the device.
            batch_size: frames at a time; does not affect the result.
        """
        found, nuisances = Misfit(), estimate.nuisances
        for members, amplitude in self.batches(batch_size):
            placed = self.placed(members, amplitude, nuisances)
            patches = cut_patches(estimate.obj, placed.corners, amplitude.shape[-1])
            probe = nuisances.probes(placed.fractions, members)
            expected = nuisances.with_background(self.forward.intensity(patches, probe))
            self.held_out.add_to(found, expected, amplitude, members)
        return found


class Estimate(NamedTuple):
    """What an engine starts from."""

    obj: Complex[Tensor, "height width"]
    """Transmission on the canvas of the problem."""

    nuisances: Nuisances
    """Probe, positions, beam intensity and background."""

    def to(self, device: torch.device) -> "Estimate":
        """Return the same on a device."""
        return Estimate(self.obj.to(device), self.nuisances.to(device))


class Solution(NamedTuple):
    """What an engine returns."""

    obj: Complex[Tensor, "height width"]
    """Transmission on the canvas of the problem."""

    nuisances: Nuisances
    """Probe, positions, beam intensity and background, as given or as refined."""

    free_residual: list[float]
    """Misfit of the held-out pixels in each iteration: the Poisson deviance per photon."""

    kept: int
    """The iteration whose result this is, from 1; 0 when none improved on the start."""

    @property
    def estimate(self) -> Estimate:
        """The solution as the start of another engine."""
        return Estimate(self.obj, self.nuisances)

    def to(self, device: torch.device) -> "Solution":
        """Return the same on a device."""
        return self._replace(obj=self.obj.to(device), nuisances=self.nuisances.to(device))


@runtime_checkable
class Engine(Protocol):
    """An iterative reconstruction."""

    def room(self, refine: Refine) -> int:
        """Return the object pixels of canvas that it needs around the windows of all frames."""
        ...

    def solve(
        self, problem: Problem, start: Estimate, ending: Ending, refine: Refine, track: Track
    ) -> Solution:
        """Improve a start.

        Args:
            problem: what is to be explained.
            start: on any device.
            ending: when to end.
            refine: what is corrected along with the object.
            track: wraps the numbers of the iterations, given the most there can be.

        Raises:
            ConfigError: If it cannot do what is asked for.
        """
        ...


def _check_canvas(positions: Float[Tensor, "frame 2"], size: int, canvas: Canvas) -> None:
    """Refuse windows off the canvas, once and on the host."""
    corners = window_corners(positions, size)[0] - torch.tensor(canvas.origin)
    first, last = corners.amin(dim=0).tolist(), (corners.amax(dim=0) + size).tolist()
    if min(first) < 0 or last[0] > canvas.shape[0] or last[1] > canvas.shape[1]:
        raise ValueError(
            f"canvas: windows from {first} to {last}; expected inside {tuple(canvas.shape)}"
        )


def _resident(frames: GroupDataset, device: torch.device) -> Float[Tensor, "frame row col"] | None:
    """Return all amplitudes on a GPU with room for them; None elsewhere."""
    if device.type != "cuda":
        return None
    raw, members = frames.raw, frames.groups.ravel()
    n_bytes = 4 * len(members) * raw.frame_size**2
    if n_bytes > _SHARE_OF_MEMORY * torch.cuda.mem_get_info(device)[0]:
        return None
    return torch.cat(
        [
            torch.from_numpy(raw.amplitude(part)).to(device)
            for part in np.array_split(members, max(1, n_bytes // 2**28))
        ]
    )
