"""`ptycho inspect FILE...`: what scan files hold, and what is wrong with them."""

import json
import logging

from ptycho.api.inspection import InspectedScan, inspect_files, write_mask
from ptycho.io.writers.writing import check_files
from ptycho.settings.base import inputs_of
from ptycho.settings.inspect import InspectConfig
from ptycho.settings.reading import reading_of, skips_found

log = logging.getLogger(__name__)


def run(config: InspectConfig) -> str:
    """Return the report as text or JSON.

    Raises:
        DataError: If a file is no scan.
    """
    files = [path for name, path in inputs_of(config) if name == "files"]
    found = inspect_files(
        files, reading_of(config), skip_found=skips_found(config), trial=config.trial
    )
    if config.picture is not None:
        sources = [path for _, path in inputs_of(config)]
        check_files([config.picture], overwrite=True, sources=sources)
    if config.write_mask is not None:
        write_mask(found[0], config.write_mask)
    if config.picture is not None:
        from ptycho.report.inspection_figure import save_inspection

        save_inspection(config.picture, found[0].raw, found[0].inspection, unit=found[0].unit)
    if config.json:
        documents = [each.document() for each in found]
        return json.dumps(documents[0] if len(documents) == 1 else documents, indent=1)
    return "\n\n".join(_text(each) for each in found)


def _text(found: InspectedScan) -> str:
    lines = [", ".join(str(path) for path in found.files)]
    lines += [f"  {name:<10} {text}" for name, text in found.rows()]
    for finding in found.inspection.findings:
        lines.append(f"{finding.severity}: {finding.text}")
        if finding.remedy:
            lines.append(f"  -> {finding.remedy}")
    if not found.inspection.findings:
        lines.append("nothing suspicious found")
    return "\n".join(lines)
