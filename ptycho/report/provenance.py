"""Where a run comes from: warnings, data, settings, versions and the files it has written.

Data flow: folder of a run -> [rows] -> page.
"""

import base64

from ptycho.report.numbers import Rows
from ptycho.report.training import loss_change
from ptycho.runs.folder import RunFolder

_MOST_BYTES = 1.5e6  # of a file that the page carries
_TYPES = {
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".log": "text/plain",
    ".png": "image/png",
    ".yaml": "text/yaml",
}
_NAMED = ("model_path", "reconstruction", "truth", "engine", "network", "gridsize", "sampling",
          "seed")  # fmt: skip


def warnings_of(run: RunFolder) -> list[str]:
    """Return what a reader has to know before looking at the result: findings and warnings.

    Args:
        run: finished or not.
    """
    findings = [f"Epoch {epoch}: {sentence}" for epoch, sentence in run.findings]
    known = [sentence for _, sentence in run.findings]
    logged = [w for w in run.warnings if not any(sentence in w for sentence in known)]
    change = loss_change(run) if run.finished else None
    changes = [change.sentence()] if change is not None and change.negligible else []
    error = [f"The run failed: {run.record.error}"] if run.record.error else []
    return error + changes + findings + logged


def summary_of(run: RunFolder, shown: RunFolder) -> Rows:
    """Return what was done, as rows of name and value.

    Args:
        run: finished or not.
        shown: the run whose reconstruction is shown: itself, or the one that it evaluates.
    """
    about, selection = run.scan or shown.scan, run.selection or shown.selection
    rows = [("Folder", str(run.path.absolute())), ("State", run.state)]
    if about:
        rows.append(("Data", f"{about.get('path')}, {(about.get('bytes') or 0) / 1e6:.3g} MB"))
        rows.append(("SHA-256 of the data", str(about.get("sha256"))))
        size = about.get("frame_size")
        rows.append(("Scan", f"{about.get('n_frames'):,} frames of {size} x {size} pixels, "
                     f"{about.get('photons_per_frame', 0):,.0f} photons per frame"))  # fmt: skip
    single = selection is not None and selection.groups.shape[1] == 1  # no groups are sampled
    for name in _NAMED:
        if run.settings.get(name) is not None and not (single and name == "sampling"):
            rows.append((name.replace("_", " ").capitalize(), str(run.settings[name])))
    if run.times is not None:
        begin, end = run.times
        rows.append(("Time", f"{begin:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S}, "
                     f"{(end - begin).total_seconds():.0f} s"))  # fmt: skip
    versions = run.record.versions.items()
    rows.append(("Versions", ", ".join(f"{name} {value}" for name, value in versions)))
    return rows


def downloads_of(run: RunFolder) -> list[tuple[str, str, str]]:
    """Return name, size and data URL of the small files of a run, which the page carries."""
    found = []
    for path in sorted(run.path.iterdir()):
        if path.suffix in _TYPES and path.is_file() and path.stat().st_size <= _MOST_BYTES:
            content = base64.b64encode(path.read_bytes()).decode("ascii")
            size = f"{path.stat().st_size / 1e3:,.1f} kB"
            found.append((path.name, size, f"data:{_TYPES[path.suffix]};base64,{content}"))
    return found
