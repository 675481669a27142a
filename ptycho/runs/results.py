"""The numbers of a run that are worth a line, picked from its documents."""

from collections.abc import Mapping
from typing import Any

_NUMBERS = ("detector_residual", "poisson_deviance_per_pixel", "sweeps", "n_frames")
_OBJECT = (
    "phase_psnr_db", "phase_ssim", "amplitude_psnr_db", "amplitude_ssim",
    "frc_05_share_of_nyquist", "frc_half_bit_share_of_nyquist", "object_residual",
)  # fmt: skip
_UNCERTAINTY = ("phase_std_rad", "amplitude_std", "misfit_ratio")
_TRAINING = ("epochs", "best_loss", "noise_floor", "seconds", "n_groups")


def headline(
    kind: str,
    *,
    metrics: Mapping[str, Any] | None = None,
    model: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the main numbers of a run by name.

    Args:
        kind: of the run.
        metrics: as in `metrics.json`.
        model: as in `settings.json` of a trained model.
    """
    metrics = metrics or {}
    parts = [
        (metrics, _NUMBERS),
        (_part(metrics, "object"), _OBJECT),
        (_part(metrics, "uncertainty") or _part(metrics, "trust"), _UNCERTAINTY),
        (_part(model or {}, "training"), _TRAINING),
    ]
    found = {name: part[name] for part, names in parts for name in names if name in part}
    if "word" in (verdict := _part(metrics, "verdict")):
        found |= {"verdict": verdict["word"], "verdict_reasons": verdict.get("reasons", [])}
    if "words" in (calibration := _part(metrics, "calibration")):
        found |= {
            "calibrated_reading": calibration["words"],
            "calibrated_refine": ", ".join(calibration.get("refine", [])) or "nothing",
            "conjugate_twin": bool(calibration.get("twin")),
        }  # fmt: skip
    if "object" in (unexplained := _part(metrics, "unexplained_light")):
        found["unexplained_light"] = unexplained["object"]
    free, kept = metrics.get("free_residual"), metrics.get("sweeps") or 0
    if isinstance(free, list) and free and isinstance(kept, int):
        kept = max(kept - first_iteration(kind), 0)
        found["free_residual"] = free[: kept + 1][-1]
    return found


def first_iteration(kind: str) -> int:
    """Return the number of the first free residual; 0 where that is what the run started from."""
    return 0 if kind == "refine" else 1


def _part(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = document.get(name)
    return found if isinstance(found, Mapping) else {}
