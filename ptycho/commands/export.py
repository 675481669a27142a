"""`ptycho export`: object, probe and positions of a reconstruction -> a file of another program.

Data flow: [reconstruction.npz -> file].
"""

from pathlib import Path

from ptycho.api.conversion import export_result
from ptycho.api.reconstruction_file import file_of
from ptycho.errors import ConfigError
from ptycho.experiment import Geometry, photon_wavelength
from ptycho.io.writers import WRITERS, format_for
from ptycho.scan.raw_data import RawData
from ptycho.settings.export import ExportConfig


def run(config: ExportConfig) -> Path:
    """Export a reconstruction; what its new format cannot hold is logged.

    Returns:
        The file written.

    Raises:
        ConfigError: If the format to write is missing or unknown, or the output exists.
        DataError: If there is no reconstruction, or it lacks what the format needs.
    """
    energy, pixel = config.energy_kev, config.detector_pixel_um
    files = export_result(
        config.reconstruction,
        _output(config),
        to=config.to,
        overwrite=config.overwrite,
        scan=None if config.test_data is None else RawData.from_file(config.test_data),
        geometry=Geometry(
            wavelength_m=None if energy is None else photon_wavelength(1e3 * energy),
            distance_m=config.distance_m,
            detector_pixel_m=None if pixel is None else 1e-6 * pixel,
        ),
        object_pixel_m=None if config.object_pixel_nm is None else 1e-9 * config.object_pixel_nm,
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
