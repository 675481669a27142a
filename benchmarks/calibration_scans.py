"""Scans of the calibration benchmark: simulated ones by number, and parts of two measured scans.

A number is a seed: scan 17 is the same however many are made. Shares of objects, probes, frame
sizes and spoilings come from shuffled decks, so that a part of the scans has them as all have.
Objects are drawn here or are photographs that the general model has not been trained on.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from calibration_spoilings import SPOILINGS, Pair
from scipy import ndimage

import ptycho
from ptycho.physics.probe import probe_fwhm
from ptycho.scan.raw_data import RawData
from ptycho.simulation import SCAN_PATTERNS
from ptycho.simulation.objects import grey_photograph, line_grid, siemens_star
from ptycho.simulation.probes import make_probe
from ptycho.simulation.random_scans import KEPT_FOR_TESTS
from ptycho.simulation.scans import lattice_shape, place_scan
from ptycho.simulation.simulate import simulate_scan

SEED = 2024
MEASURED = 1000
"""Number of the first measured scan; even ones are rotavirus, odd ones siemens."""
FILES = {"rotavirus": "rotavirus_10304.npz", "siemens": "siemens_516.npz"}
PROBES = ("gaussian", "disc", "lens +", "lens -", "two modes")
PATTERNS = {"raster": "raster", "spiral": "fermat", "snake": "fly"}

Shape = tuple[int, int]
Grey = np.ndarray


class Recipe(NamedTuple):
    """What a scan is made of."""

    number: int
    obj: str
    probe: str
    size: int
    pattern: str
    frames: int
    dose: float
    overlap: float
    spoilings: tuple[str, ...]

    @property
    def is_measured(self) -> bool:
        """Whether the frames are those of a file."""
        return self.number >= MEASURED


class Made(NamedTuple):
    """A scan, right and spoiled, with its truth."""

    recipe: Recipe
    pair: Pair
    obj: np.ndarray
    """The truth; pixel (r, c) lies at scan coordinate (r, c)."""
    probe: np.ndarray
    positions: np.ndarray
    """True ones of all frames of the spoiled scan."""


class Deck:
    """Cards drawn without putting them back, shuffled again when none is left."""

    def __init__(self, cards: tuple, rng: np.random.Generator):
        self.cards, self.rng, self.left = list(cards), rng, []

    def draw(self, allowed: Callable[[object], bool] = lambda card: True) -> object:
        """Return the next allowed card."""
        while not any(allowed(card) for card in self.left):
            self.left += [self.cards[i] for i in self.rng.permutation(len(self.cards))]
        return self.left.pop(next(i for i, card in enumerate(self.left) if allowed(card)))


def recipes(last: int) -> list[Recipe]:
    """Return the recipes of the simulated scans 0 to last - 1."""
    rng = np.random.default_rng(SEED)
    objects, probes, patterns, sizes, numbers, kinds = (
        Deck(cards, rng)
        for cards in (tuple(OBJECTS), PROBES, tuple(PATTERNS), (64,) * 8 + (128,) * 2,
                      (0,) * 2 + (1,) * 5 + (2,) * 3, tuple(SPOILINGS))
    )  # fmt: skip
    found = []
    for number in range(last):
        spoilings = _draw_spoilings(kinds, numbers.draw())
        # A real and symmetric probe has no conjugate, and is the Gaussian already.
        told = {"conjugate-probe", "gaussian-probe"} & set(spoilings)
        size = sizes.draw()
        found.append(
            Recipe(
                number=number, obj=objects.draw(), size=size, spoilings=spoilings,
                probe=probes.draw((lambda card: card != "gaussian") if told else lambda card: True),
                pattern=patterns.draw((lambda card: card == "snake") if "snake" in spoilings
                                      else lambda card: True),
                frames=int(rng.integers(150, 401 if size == 64 else 251)),
                dose=float(f"{10 ** rng.uniform(3, 7):.2g}"),
                overlap=round(rng.uniform(0.4, 0.8), 2),
            )
        )  # fmt: skip
    return found


def measured_recipes(last: int) -> list[Recipe]:
    """Return the recipes of the measured scans; all spoilings in turn, the first two without."""
    kinds = Deck(tuple(SPOILINGS), np.random.default_rng(SEED + 1))
    found = []
    for i in range(last):
        name = tuple(FILES)[i % 2]
        size, frames = (64, 324) if name == "rotavirus" else (128, 260)
        spoilings = () if i < 2 else _draw_spoilings(kinds, 1)
        found.append(Recipe(MEASURED + i, name, "measured", size, "snake", frames, 0, 0, spoilings))
    return found


def _draw_spoilings(deck: Deck, n: int) -> tuple[str, ...]:
    """Draw spoilings of different groups, in the order in which they are applied."""
    chosen: list[str] = []
    while len(chosen) < n:
        groups = {SPOILINGS[name].group for name in chosen}
        chosen.append(deck.draw(lambda card: SPOILINGS[card].group not in groups))  # noqa: B023
    return tuple(name for name in SPOILINGS if name in chosen)


def make(recipe: Recipe, data: Path, reference: np.ndarray | None = None) -> Made:
    """Return a scan, right and spoiled.

    Args:
        recipe: what it is made of.
        data: folder of the measured scans.
        reference: what counts as the truth of a measured scan; None for its guess.
    """
    rng = np.random.default_rng((SEED, recipe.number))
    raw = _measured(recipe, data) if recipe.is_measured else _simulated(recipe, rng)
    width = probe_fwhm(torch.from_numpy(np.array(raw.probe)))
    row = None
    if recipe.pattern != "spiral" and recipe.obj != "siemens":
        row = lattice_shape(recipe.frames)[1]
    if recipe.obj == "rotavirus":
        row = 18
    told = ptycho.RawData(
        frames=np.asarray(raw.frames).astype(np.uint32), measurement="counts",
        xcoords=raw.xcoords, ycoords=raw.ycoords, probe=raw.probe,
    )  # fmt: skip
    pair = Pair(told, told, ("probe",) if recipe.is_measured else (), row, width)
    for name in recipe.spoilings:
        pair = SPOILINGS[name].apply(pair, rng)
    obj = raw.obj if reference is None else reference
    return Made(recipe, pair, obj, np.asarray(raw.probe), raw.positions)


def _simulated(recipe: Recipe, rng: np.random.Generator) -> RawData:
    low, high = (0.2, 0.28) if recipe.size == 64 else (0.14, 0.24)
    shape = "lens" if recipe.probe not in ("gaussian", "disc") else recipe.probe
    probe = make_probe(
        shape, recipe.size, fwhm=recipe.size * rng.uniform(low, high), photons=recipe.dose,
        n_modes=2 if recipe.probe == "two modes" else 1,
    )  # fmt: skip
    if recipe.probe == "lens -":
        probe = probe.conj()  # the other sign of the defocus
    step = (1 - recipe.overlap) * probe_fwhm(torch.from_numpy(probe))
    path = SCAN_PATTERNS.find(PATTERNS[recipe.pattern])(
        recipe.frames, step=step, jitter=0.1 * step, row_step=None, rng=rng
    )
    positions, canvas = place_scan(path, recipe.size)
    amplitude, phase = OBJECTS[recipe.obj](canvas, rng)
    dark, depth = rng.uniform(0.4, 0.8), rng.uniform(0.8, 2.5)
    obj = (dark + (1 - dark) * amplitude) * np.exp(1j * depth * (phase - 0.5))
    return simulate_scan(obj.astype(np.complex64), probe, positions, rng=rng)


def _measured(recipe: Recipe, data: Path) -> RawData:
    """Return a compact part of a measured scan; positions moved onto the smallest canvas."""
    with np.load(data / FILES[recipe.obj]) as stored:
        fields = {name: stored[name] for name in stored}
    positions = np.stack([fields["position_row"], fields["position_col"]], axis=1)
    if recipe.obj == "rotavirus":
        along = np.stack([fields["scan_row"], fields["scan_col"]], axis=1)
        inside = np.abs(along - np.median(along, axis=0) - 0.25).max(axis=1) < 9
    else:
        away = np.abs(positions - np.median(positions, axis=0)).max(axis=1)
        inside = away <= np.sort(away)[recipe.frames - 1]
    chosen, canvas = place_scan(positions[inside], recipe.size)
    return RawData(
        frames=fields["counts"][inside], measurement="counts", probe=fields["probe"],
        ycoords=chosen[:, 0], xcoords=chosen[:, 1], obj=np.ones(canvas, np.complex64),
    )  # fmt: skip


def _part_of(name: str, shape: Shape, rng: np.random.Generator) -> Grey:
    """Return a random part of a photograph, in a random orientation."""
    grey = grey_photograph(name)
    side = int(min(grey.shape) * rng.uniform(0.7, 1.0))
    row, col = (rng.integers(0, length - side + 1) for length in grey.shape)
    part = np.rot90(grey[row : row + side, col : col + side], rng.integers(4))
    zoom = [want / have for want, have in zip(shape, part.shape, strict=True)]
    part = ndimage.gaussian_filter(part, [max(0.0, 0.4 / z - 0.4) for z in zoom])
    return _stretched(ndimage.zoom(part, zoom, order=1, grid_mode=True, mode="nearest"))


def _stretched(grey: Grey) -> Grey:
    return (grey - grey.min()) / np.ptp(grey)


def _photograph(shape: Shape, rng: np.random.Generator) -> tuple[Grey, Grey]:
    names = rng.permutation([name for name in KEPT_FOR_TESTS if name != "text"])[:2]
    amplitude, phase = (_part_of(str(name), shape, rng) for name in names)
    return amplitude, phase


def _text(shape: Shape, rng: np.random.Generator) -> tuple[Grey, Grey]:
    return _part_of("clock", shape, rng), _part_of("text", shape, rng)


def _cells(shape: Shape, rng: np.random.Generator) -> tuple[Grey, Grey]:
    """Return thick round cells with a nucleus and granules, without absorption."""
    rows, cols = np.indices(shape)
    phase = np.zeros(shape)
    for _ in range(int(shape[0] * shape[1] / rng.uniform(400, 1200))):
        row, col, turn = *rng.uniform(0, shape), rng.uniform(0, np.pi)
        long, short = rng.uniform(9, 22), rng.uniform(7, 14)
        along = (rows - row) * np.cos(turn) + (cols - col) * np.sin(turn)
        across = (cols - col) * np.cos(turn) - (rows - row) * np.sin(turn)
        radius = np.hypot(along / long, across / short)
        cell = np.sqrt(np.clip(1 - radius**2, 0, None)) + 0.35 * (1 - np.tanh(12 * (radius - 0.35)))
        phase = np.maximum(phase, rng.uniform(0.6, 1.0) * cell)
    granules = ndimage.gaussian_filter(rng.standard_normal(shape), 1.0)
    return np.ones(shape), _stretched(phase * (1 + 0.3 * granules))


def _lines(shape: Shape, rng: np.random.Generator) -> tuple[Grey, Grey]:
    """Return a star or bars of an absorbing material."""
    star = siemens_star(shape, rng, spokes=int(rng.integers(16, 48)))
    bars = ndimage.gaussian_filter(line_grid(shape, rng), 0.5)
    pattern = _stretched(star if rng.random() < 0.6 else bars)
    return 1 - pattern, pattern


def _texture(shape: Shape, rng: np.random.Generator) -> tuple[Grey, Grey]:
    """Return two labyrinths: noise in a band of frequencies, its contrast raised."""

    def labyrinth(period: float) -> Grey:
        frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1]))
        band = np.exp(-0.5 * ((frequency * period - 1) / 0.25) ** 2)
        field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) * band, s=shape)
        return _stretched(np.tanh(1.5 * field / field.std()))

    return labyrinth(rng.uniform(6, 12)), labyrinth(rng.uniform(6, 16))


def _particles(shape: Shape, rng: np.random.Generator) -> tuple[Grey, Grey]:
    """Return a few absorbing spheres on an empty support."""
    rows, cols = np.indices(shape)
    thick = np.zeros(shape)
    for _ in range(int(shape[0] * shape[1] / rng.uniform(500, 1500))):
        row, col = rng.uniform(0, shape)
        squared = rng.uniform(2.5, 7) ** 2 - (rows - row) ** 2 - (cols - col) ** 2
        thick += np.sqrt(np.clip(squared, 0, None))
    return 1 - _stretched(thick), _stretched(thick)


OBJECTS: dict[str, Callable[[Shape, np.random.Generator], tuple[Grey, Grey]]] = {
    "photograph": _photograph,
    "cells": _cells,
    "lines": _lines,
    "texture": _texture,
    "particles": _particles,
    "text": _text,
}
"""Amplitude and phase of an object, both from 0 to 1."""
