"""`ptycho plan`: the smallest errors a scan can have, for its photons and overlap and for others.

Data flow: settings, RawData -> [bound] -> report.
"""

import json

from ptycho.api.loading import load
from ptycho.api.planning import DOSES, OVERLAPS, ScanPlan, planned
from ptycho.settings.base import part_of
from ptycho.settings.plan import PlanConfig, PlanSettings


def run(config: PlanConfig) -> str:
    """Return the report as text or JSON.

    Raises:
        PtychoError: If the scan cannot be read, or the settings allow no such scan.
    """
    raw = None if config.like is None else load(config.like)
    plan = planned(part_of(config, PlanSettings), raw)
    if config.picture is not None:
        from ptycho.report.plan_figure import save_plan

        save_plan(config.picture, plan.table())
    if config.json:
        return json.dumps(plan.document(), indent=1)
    return _text(plan)


def _text(plan: ScanPlan) -> str:
    bound = plan.bound()
    rows = [
        ("scan", f"{plan.photons:.3g} photons per frame, steps of {plan.step:.3g} px, a probe of "
         f"{plan.width:.3g} px (overlap {plan.overlap:.0%})"),
        ("intensity", f"{bound.photons_per_pixel:.3g} photons on an object pixel, sample included"),
        ("phase", f"{bound.phase:.2g} rad at best (root mean square)"),
        ("amplitude", f"{100 * bound.log_amplitude:.2g} % at best"),
        ("resolution", _resolution(bound.resolution)),
    ]  # fmt: skip
    wanted = plan.settings.resolution
    if wanted is not None:
        needed = plan.photons_for(wanted)
        rows.append(("to resolve", f"{wanted:g} px: " + (
            "no dose suffices" if needed is None else f"{needed:.2g} photons per frame"
        )))  # fmt: skip
    table = {(row["photons"], row["overlap"]): row for row in plan.table()}
    lines = [f"{name:<11} {text}" for name, text in rows]
    lines += ["", "best phase error, rad (resolution, px) by photons per frame and overlap"]
    lines.append("".join(f"{text:>15}" for text in ("", *(f"{o:.0%}" for o in OVERLAPS))))
    for dose in DOSES:
        cells = (table[dose, overlap] for overlap in OVERLAPS)
        words = (f"{c['phase']:.2g} ({c['resolution_px']:.2g})" for c in cells)
        lines.append("".join(f"{text:>15}" for text in (f"{dose:.0e}", *words)))
    return "\n".join(lines)


def _resolution(pixels: float) -> str:
    if pixels <= 1:
        return "1 px, that of the pixels (half period)"
    return f"{pixels:.2g} px (half period)"
