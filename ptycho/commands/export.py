"""`ptycho export`: object, probe and positions of a reconstruction -> a file of another program.

Data flow: [reconstruction.npz -> file].
"""

from pathlib import Path

from ptycho.api.conversion import export_result
from ptycho.api.reconstruction_file import file_of
from ptycho.api.scan_of_run import scan_of_run
from ptycho.errors import ConfigError
from ptycho.experiment import Geometry
from ptycho.io.writers import WRITERS, format_for
from ptycho.io.writers.writing import check_files
from ptycho.settings.base import inputs_of
from ptycho.settings.export import ExportConfig
from ptycho.settings.reading import reading_of


def run(config: ExportConfig) -> Path:
    """Export a reconstruction; what its new format cannot hold is logged.

    Returns:
        The file written.

    Raises:
        ConfigError: If the format to write is missing or unknown, or the output exists.
        DataError: If there is no reconstruction, or it lacks what the format needs.
    """
    reading, scan = reading_of(config), None
    output, sources = _output(config), [path for _, path in inputs_of(config)]
    check_files([output], overwrite=config.overwrite, sources=sources)
    if config.test_data is not None:
        scan = scan_of_run(config.reconstruction, config.test_data, config, inspected=False)
    files = export_result(
        config.reconstruction,
        output,
        to=config.to,
        overwrite=config.overwrite,
        scan=scan,
        geometry=reading.geometry if scan is None else Geometry(),
        object_pixel_m=reading.object_pixel_m,
    )
    return files[0]


def _output(config: ExportConfig) -> Path:
    if config.output is not None:
        format_for(config.output, config.to)
        return config.output
    if config.to is None:
        raise ConfigError(f"to: missing; expected one of {', '.join(WRITERS)}, or an output file")
    file, row = file_of(config.reconstruction), WRITERS.find(config.to)
    ending = row.endings[0] if row.by_ending else f"_{config.to}{row.endings[0]}"
    # That of npz is the reconstruction itself.
    name = "exported" if ending == file.suffix else file.stem
    return file.with_name(f"{name}{ending}")
