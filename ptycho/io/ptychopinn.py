"""PtychoPINN NPZ, the format RawData itself is kept in.

Way of the data: [file] -> RawData -> groups -> ...
"""

from pathlib import Path

import numpy as np

from ptycho.scan.raw_data import Measurement, RawData


def read(path: Path, measurement: Measurement | None, mask: np.ndarray | None = None) -> RawData:
    """Read a scan; see `RawData.from_file`.

    Args:
        path: the file.
        measurement: what its frames are; None believes the file.
        mask: (N, N) True on good pixels; None believes the file.
    """
    return RawData.from_file(path, measurement=measurement, mask=mask)
