"""PtychoPINN NPZ, the format RawData itself is kept in.

Way of the data: [file] -> RawData -> groups -> ...
"""

from pathlib import Path

from ptycho.raw_data import Measurement, RawData


def read(path: Path, measurement: Measurement | None) -> RawData:
    """Read a scan; see `RawData.from_file`.

    Args:
        path: the file.
        measurement: what its frames are; None believes the file.
    """
    return RawData.from_file(path, measurement=measurement)
