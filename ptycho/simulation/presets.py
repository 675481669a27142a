"""Sets of simulation settings; plain data.

`fly001` has the size of a production scan: 92 rows of 112 frames, 80 % overlap, and with 1e5
photons the dose of a few milliseconds per frame at a bright source (two measured scans of this kind
have 8e4 and 5e5). `demo` is a small scan of another object, for a training of minutes on two cores.
"""

from pathlib import Path
from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    "demo": {
        "output": Path("runs/demo/scan.npz"),
        "n_frames": 1296,
        "amplitude_image": "astronaut",
        "phase_image": "coffee",
    },
    "fly001": {
        "output": Path("datasets/fly/fly001_transposed.npz"),
        "n_frames": 10304,
        "scan": "fly",
        "step": 3.4,
        "row_step": 4.0,
        "jitter": 0.3,
        "probe_fwhm": 18.0,
    },
}
"""Values that `--preset` puts below those given explicitly."""
