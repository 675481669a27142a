"""A probe before and after it was refined, mode by mode.

Way of the data: trained model, result -> [report]. Knows arrays only.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Complex

from ptycho.report.drawing import Picture, draw_picture, new_figure, save

_MOST_MODES = 4


def save_probe(
    path: Path,
    given: Complex[np.ndarray, "mode row col"],
    found: Complex[np.ndarray, "found_mode row col"],
) -> None:
    """Draw amplitude and phase of the strongest mode given, and of up to 4 modes found.

    Args:
        path: the PNG file to write.
        given: where it started, sqrt(photons) per object pixel.
        found: where it ended.
    """
    power = np.abs(found) ** 2
    shares = power.sum(axis=(1, 2)) / power.sum()
    titles = [f"found, {share:.1%} of the light" for share in shares[:_MOST_MODES]]
    columns = [("given", given[0]), *zip(titles, found, strict=False)]
    figure = new_figure(4.2 * len(columns), 7.0)
    for axes, (title, mode) in zip(figure.subplots(2, len(columns)).T, columns, strict=True):
        amplitude = np.abs(mode)
        everywhere = np.ones(mode.shape, bool)
        draw_picture(figure, axes[0], Picture(
            values=amplitude, mask=everywhere, title=f"Probe {title}", unit="sqrt(photons)",
            colors="magma",
        ))  # fmt: skip
        draw_picture(figure, axes[1], Picture(
            values=np.angle(mode), mask=amplitude > 0.05 * amplitude.max(), title="Phase",
            unit="rad", colors="twilight", limits=(-np.pi, np.pi),
        ))  # fmt: skip
    save(figure, path)
