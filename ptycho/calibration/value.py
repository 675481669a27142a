"""The outcome of a calibration: how a scan is to be read, with the evidence, as a small file.

Data flow: [Calibration] <-> file; RawData -> [Calibration] -> RawData as it should have been.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Complex64

from ptycho.calibration.setup import Setup
from ptycho.errors import ConfigError, DataError
from ptycho.io.npz import UNREADABLE, open_npz, write_npz
from ptycho.scan.raw_data import RawData

_VERSION = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """How a scan is to be read, and why."""

    frame_size: int
    """N of the frames it was made from."""

    setup: Setup = field(default_factory=Setup)
    """Steps on positions, frames and probe."""

    probe: Complex64[np.ndarray, "mode n n"] | None = None
    """The probe found; None keeps that of the scan."""

    refine: tuple[str, ...] = ()
    """Nuisance parameters that earn their place; names of `engines.nuisances.Refine`."""

    unexplained: tuple[float, float] = (float("nan"), float("nan"))
    """Share of the variation of held-out frames that is predicted wrongly: as read, and now."""

    twin: bool = False
    """Whether the frames allow the conjugate twin as well: both axes negated, object and probe
    conjugate."""

    alternatives: tuple[str, ...] = ()
    """Other readings that the frames do not distinguish from this one."""

    readings: tuple[Mapping[str, Any], ...] = ()
    """Readings tried: `words`, `unexplained`."""

    rounds: tuple[Mapping[str, Any], ...] = ()
    """Nuisance parameters tried: `round`, `name`, `unexplained`, `gain`, `sigmas`, `kept`."""

    seconds: float = 0.0
    """Time it took."""

    @property
    def changes(self) -> bool:
        """Whether it changes anything."""
        return self.setup != Setup() or self.probe is not None or bool(self.refine)

    def rows(self) -> list[tuple[str, str]]:
        """Return what was found as pairs of name and text."""
        before, after = self.unexplained
        rows = [("reading", self.setup.words())]
        if self.probe is not None:
            modes = len(self.probe)
            rows.append(("probe", f"found from the frames, {modes} mode{'s' * (modes > 1)}"))
        rows.append(("to refine", ", ".join(self.refine) or "nothing"))
        rows.append((
            "held-out frames",
            f"{_share(before)} of what varies predicted wrongly as read, {_share(after)} now",
        ))  # fmt: skip
        if self.alternatives:
            rows.append(("the frames allow as well", "; ".join(self.alternatives[:4])))
        if self.twin:
            rows.append(
                ("conjugate twin", "both axes negated; fits equally, one of these two is right")
            )
        return rows

    def lines(self) -> list[str]:
        """Return what was found, one fact per line."""
        return [f"{name}: {text}" for name, text in self.rows()]

    def applied(self, raw: RawData) -> RawData:
        """Return a scan as it should have been.

        Args:
            raw: as its file says.

        Raises:
            ConfigError: If its frames have another size.
        """
        if raw.frame_size != self.frame_size:
            raise ConfigError(
                f"calibration: of frames of {self.frame_size} pixels; this scan has "
                f"{raw.frame_size}"
            )
        return self.setup.applied(raw, self.probe)

    def document(self) -> dict[str, Any]:
        """Return it as plain values, without the probe."""
        before, after = self.unexplained
        return {
            "version": _VERSION,
            "frame_size": self.frame_size,
            "setup": asdict(self.setup),
            "words": self.setup.words(),
            "refine": list(self.refine),
            "probe_found": self.probe is not None,
            "unexplained": {"as_read": _finite(before), "calibrated": _finite(after)},
            "twin": self.twin,
            "alternatives": list(self.alternatives),
            "readings": [dict(each) for each in self.readings],
            "rounds": [dict(each) for each in self.rounds],
            "seconds": self.seconds,
        }

    def save(self, path: Path | str) -> None:
        """Write it as an .npz file, complete or not at all."""
        arrays: dict[str, Any] = {"calibration": np.array(json.dumps(self.document()))}
        if self.probe is not None:
            arrays["probe"] = self.probe
        write_npz(Path(path), arrays)


def read_calibration(path: Path) -> Calibration:
    """Return the calibration in a file.

    Raises:
        DataError: If the file holds none.
    """
    try:
        file = open_npz(path)
        document = json.loads(str(file.entry("calibration", expected="a calibration")))
        probe = file.entry("probe", expected="a probe") if document["probe_found"] else None
        return _from_document(document, probe)
    except DataError:
        raise
    except (*UNREADABLE, KeyError, TypeError) as problem:
        raise DataError(
            f"{path}: no calibration ({type(problem).__name__}); expected a file of `ptycho "
            "calibrate`"
        ) from None


def _from_document(document: Mapping[str, Any], probe: np.ndarray | None) -> Calibration:
    known = dict(document["setup"])
    (a, b), (c, d) = known["matrix"]
    known["matrix"] = ((float(a), float(b)), (float(c), float(d)))
    for name in ("positions", "frames", "probe"):
        known[name] = tuple(known[name])
    shares = document["unexplained"]
    size = int(document["frame_size"])
    if probe is not None and (probe.ndim != 3 or probe.shape[1:] != (size, size)):
        raise TypeError("probe of another size")
    return Calibration(
        frame_size=size,
        setup=Setup(**known),
        probe=None if probe is None else np.asarray(probe, dtype=np.complex64),
        refine=tuple(document["refine"]),
        unexplained=(_number(shares["as_read"]), _number(shares["calibrated"])),
        twin=bool(document["twin"]),
        alternatives=tuple(document["alternatives"]),
        readings=tuple(document["readings"]),
        rounds=tuple(document["rounds"]),
        seconds=float(document["seconds"]),
    )


def _share(value: float) -> str:
    return f"{value:.1%}" if np.isfinite(value) else "an unknown share"


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
