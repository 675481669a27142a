"""A probe before and after its refinement, mode by mode.

Data flow: trained model, result -> [figure]. Knows arrays only.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Complex

from ptycho.report.drawing import draw_image, new_figure, save
from ptycho.report.images import probe_images


def save_probe(
    path: Path,
    given: Complex[np.ndarray, "mode row col"],
    found: Complex[np.ndarray, "found_mode row col"],
) -> None:
    """Write amplitude and phase of the first given mode and of up to 4 refined modes as PNG.

    Args:
        path: the PNG file to write.
        given: the probe before the refinement, sqrt(photons) per object pixel.
        found: the refined probe.
    """
    images = [replace(image, title=f"{image.title}, given") for image in probe_images(given)[:2]]
    images += [replace(image, title=f"{image.title}, refined") for image in probe_images(found)]
    figure = new_figure(4.2 * len(images) / 2, 7.0)
    axes = figure.subplots(2, len(images) // 2)
    for place, image in zip(axes.T.flat, images, strict=True):
        draw_image(figure, place, image)
    save(figure, path)
