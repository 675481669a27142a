"""Scans whose true object is known: an object, a probe, positions and photons in, a RawData out.

Data flow: [objects + probes + scans -> simulate -> noise] -> RawData -> groups -> ...
The frames are computed by the forward model of `ptycho.physics`, which training uses too, so the
true object explains them exactly, up to the photon noise.
"""

from typing import TYPE_CHECKING

from ptycho.tables import Row, Table

if TYPE_CHECKING:
    from ptycho.simulation.objects import Draw
    from ptycho.simulation.probes import ProbeShape
    from ptycho.simulation.scans import ScanPattern

PHOTOGRAPHS = (
    "astronaut",
    "brick",
    "camera",
    "cell",
    "chelsea",
    "clock",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "hubble_deep_field",
    "immunohistochemistry",
    "moon",
    "page",
    "retina",
    "rocket",
    "shepp_logan_phantom",
    "text",
)
"""Names in `skimage.data` whose files are part of the scikit-image wheel."""

PICTURES: "Table[Draw]" = Table(
    "picture",
    {
        "leaves": Row("ptycho.simulation.objects:dead_leaves", "discs of random size and grey"),
        "siemens": Row("ptycho.simulation.objects:siemens_star", "a Siemens star of 36 spokes"),
        "clouds": Row("ptycho.simulation.objects:gaussian_field", "a random field, smooth"),
        "lines": Row("ptycho.simulation.objects:line_grid", "stripes of 2 to 16 pixels"),
        "flat": Row("ptycho.simulation.objects:flat", "ones everywhere"),
    }
    | {
        name: Row("ptycho.simulation.objects:photograph", "a photograph of scikit-image", (name,))
        for name in PHOTOGRAPHS
    },
)
"""Pictures that objects are made from; importing the table imports neither NumPy nor torch."""

PROBES: "Table[ProbeShape]" = Table(
    "probe",
    {
        "disc": Row("ptycho.simulation.probes:disc_probe", "a defocused disc"),
        "lens": Row("ptycho.simulation.probes:lens_probe", "the beam of a lens far out of focus"),
        "gaussian": Row("ptycho.simulation.probes:gaussian_probe", "a Gaussian"),
    },
)
"""Shapes of the probe."""

SCAN_PATTERNS: "Table[ScanPattern]" = Table(
    "scan",
    {
        "raster": Row("ptycho.simulation.scans:raster_scan", "row by row"),
        "fly": Row("ptycho.simulation.scans:fly_scan", "continuous, back and forth"),
        "fermat": Row("ptycho.simulation.scans:fermat_scan", "a Fermat spiral"),
    },
)
"""Orders and places of the scan positions."""
