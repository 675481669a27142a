"""Ready sets of simulation settings, and the names of the pictures; plain data.

`fly001` is a production scan: 92 rows of 112 frames, 80 % overlap, and with 1e5 photons the dose of
a few milliseconds per frame at a bright source (two measured scans of this kind have 8e4 and 5e5).
`demo` is a small scan of another object, to be learned from on two cores over a coffee.
"""

from pathlib import Path
from typing import Literal

Picture = Literal[
    # Drawn by rule.
    "leaves", "siemens", "clouds", "lines", "flat",
    # Photographs that scikit-image carries.
    "astronaut", "brick", "camera", "cell", "chelsea", "clock", "coffee", "coins", "grass",
    "gravel", "hubble_deep_field", "immunohistochemistry", "moon", "page", "retina", "rocket",
    "shepp_logan_phantom", "text",
]  # fmt: skip

PRESETS = {
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
