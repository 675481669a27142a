"""What a reconstruction leaves: arrays, pictures and numbers in one folder.

Way of the data: ... -> trained model -> patches -> object -> [report].
"""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Complex, Float

from ptycho.api.trust_output import Trust
from ptycho.engines.nuisances import Nuisances
from ptycho.io.npz import write_npz
from ptycho.metrics import Comparison, compare, well_covered
from ptycho.report.figures import save_amplitude, save_comparison, save_overview, save_phase
from ptycho.report.numbers import metrics_document, metrics_table, save_metrics, trust_table
from ptycho.report.probe_figure import save_probe
from ptycho.report.trust_figure import PositionResiduals, save_trust
from ptycho.scan.raw_data import RawData
from ptycho.settings.config import InferenceConfig
from ptycho.settings.refine import RefineConfig

log = logging.getLogger(__name__)


class Reconstruction(NamedTuple):
    """The object of a scan and how well it explains the frames."""

    obj: Complex[np.ndarray, "row col"]
    """Complex transmission; 0 where no frame shows anything."""

    coverage: Float[np.ndarray, "row col"]
    """How much light fell on each pixel, relative to the brightest spot of one frame."""

    origin: tuple[int, int]
    """(row, col) of pixel (0, 0) in scan coordinates, object pixels."""

    frames: np.ndarray
    """Indices of the frames used, ascending."""

    residuals: Float[np.ndarray, " frame"]
    """Detector-space residual of each of them."""

    probe: Complex[np.ndarray, "mode row col"]
    """The illumination, sqrt(photons) per object pixel; refined if that was asked for."""

    free_residual: list[float]
    """Misfit of the held-out detector pixels in each sweep; empty without sweeps."""

    sweeps: int
    """Sweeps kept; epochs after a refinement."""

    beside: Nuisances
    """Positions, beam and background that go with the object, for all frames of the scan."""

    unexplained: tuple[float, float] | None = None
    """Share of the light beyond counting noise that the network's object and the final one leave
    unexplained; None when no network was asked."""


def write(
    config: InferenceConfig | RefineConfig,
    raw: RawData,
    result: Reconstruction,
    trust: Trust | None = None,
) -> None:
    """Write arrays, pictures and numbers into the output folder.

    Args:
        config: where to, and what is compared.
        raw: the scan.
        result: its reconstruction.
        trust: how far that may be trusted, where it was asked for.
    """
    folder, pixel = config.output_dir, raw.pixel_size_m
    mask = well_covered(result.coverage)
    _save_arrays(folder / "reconstruction.npz", raw, result, trust)
    place = {"origin": result.origin, "pixel_size_m": pixel}
    save_amplitude(folder / "reconstructed_amplitude.png", result.obj, mask, **place)
    save_phase(folder / "reconstructed_phase.png", result.obj, mask, **place)
    if config.refine_probe:
        save_probe(folder / "probe.png", raw.probe, result.probe)
    comparison = _against_truth(config, raw, result, mask)
    document = metrics_document(
        comparison,
        detector_residual=float(np.nanmean(result.residuals)),
        pixel_size_m=pixel,
        truth=None if comparison is None else config.test_data.name,
    )
    document["n_frames"] = len(result.frames)
    document["n_dark_frames"] = int(np.isnan(result.residuals).sum())
    if document["n_dark_frames"]:
        log.warning("%d frames hold no light; they tell nothing", document["n_dark_frames"])
    document["sweeps"] = result.sweeps
    document["free_residual"] = result.free_residual
    if result.unexplained is not None:
        network, final = result.unexplained
        document["unexplained_light"] = {"network": network, "object": final}
    if trust is not None:
        document["trust"] = trust.document(pixel)
        _draw_trust(folder / "trust.png", result, trust, place, pixel)
    save_metrics(folder / "metrics.json", document)
    for name, value in metrics_table(document) + trust_table(document.get("trust")):
        log.info("%-24s %s", name, value)
    if config.comparison_plot and comparison is not None:
        save_comparison(folder / "comparison_plot.png", comparison, document, pixel_size_m=pixel)
    elif config.comparison_plot:
        log.info("no object to compare with in %s; drawing the coverage", config.test_data)
        save_overview(
            folder / "comparison_plot.png", result.obj, result.coverage, raw.positions, **place
        )


def _against_truth(
    config: InferenceConfig | RefineConfig, raw: RawData, result: Reconstruction, mask: np.ndarray
) -> Comparison | None:
    """Compare with the object in the scan file; None when there is none that fits the scan."""
    if raw.obj is None:
        return None
    try:
        return compare(result.obj, raw.obj, mask, estimate_origin=result.origin)
    except ValueError as problem:
        log.warning("%s: its object cannot be compared: %s", config.test_data, problem)
        return None


def _draw_trust(
    path: Path, result: Reconstruction, trust: Trust, place: dict[str, Any], pixel: float | None
) -> None:
    """Draw what is known of the quality without a truth."""
    save_trust(
        path,
        trust.uncertainty,
        trust.halves,
        result.coverage,
        PositionResiduals(result.beside.positions[result.frames].numpy(), result.residuals),
        table=trust_table(trust.document(pixel)),
        **place,
    )


def _save_arrays(path: Path, raw: RawData, result: Reconstruction, trust: Trust | None) -> None:
    """Write what later steps compute with; the file is complete or not there."""
    arrays = {
        "object": result.obj.astype(np.complex64),
        "coverage": result.coverage.astype(np.float32),
        "positions": result.beside.positions[result.frames].numpy(),
        "origin": np.array(result.origin, dtype=np.float64),
        "frames": result.frames,
        "probe": result.probe.astype(np.complex64),
        "frame_residuals": result.residuals.astype(np.float32),
        "pixel_size_m": np.float64(np.nan if raw.pixel_size_m is None else raw.pixel_size_m),
        "units": np.array(
            "object: complex transmission; positions, origin: object pixels (row, col); coverage: "
            "light relative to the brightest spot of one frame; probe: sqrt(photons)"
        ),
    }
    if (intensity := result.beside.intensity) is not None:
        arrays["intensity"] = intensity[result.frames].numpy()
    if (background := result.beside.background) is not None:
        arrays["background"] = background.numpy()
    write_npz(path, arrays | ({} if trust is None else trust.arrays()))
