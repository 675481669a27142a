"""How often the verdict on a reconstruction is right: simulated scans, right and spoiled.

    OMP_NUM_THREADS=1 python benchmarks/verdict.py --scans 48 --out /tmp/verdict.jsonl

Every scan is reconstructed as it is and with some of the faults of `FAULTS`, in turn. The table is
printed; it is kept in docs/benchmarks/verdict.md.
"""

import argparse
import dataclasses
import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import ptycho
from ptycho.api.verdict import verdict_of
from ptycho.io.orientation import POSITION_STEPS, turned
from ptycho.scan.raw_data import RawData
from ptycho.simulation.probes import make_probe

PICTURES = (
    ("camera", "coins"), ("leaves", "clouds"), ("text", "rocket"), ("siemens", "clouds"),
    ("clock", "leaves"), ("gravel", "astronaut"), ("clouds", "leaves"), ("coffee", "moon"),
)  # fmt: skip
PROBES = ("disc", "gaussian", "lens")
DOSES = (1e3, 1e4, 1e5, 1e6)
OVERLAPS = (0.8, 0.7, 0.6, 0.5, 0.4)
WRONG_DB = 15.0
"""Phase PSNR below which a picture counts as wrong."""

Spoil = Callable[[RawData, np.random.Generator], RawData]


def right_scan(number: int) -> tuple[RawData, dict]:
    """Return a simulated scan and what is special about it; the number is its seed."""
    rng = np.random.default_rng(number)
    amplitude, phase = PICTURES[number % len(PICTURES)]
    size = 128 if number % 12 == 11 else 64
    fwhm = size * float(rng.choice([0.22, 0.28]))
    overlap, dose = OVERLAPS[number % 5], DOSES[(number // 2) % 4]
    facts = {
        "amplitude_image": amplitude, "phase_image": phase, "N": size, "probe_fwhm": fwhm,
        "probe": PROBES[number % 3], "photons": dose, "step": (1 - overlap) * fwhm,
        "n_frames": int(rng.integers(150, 301)) if size == 64 else 150,
        "scan": ("raster", "fermat")[int(rng.integers(2))], "seed": number,
        "phase_range": float(rng.choice([1.0, 2.0])),
    }  # fmt: skip
    facts["jitter"] = 0.1 * facts["step"]
    return ptycho.simulate(**facts), facts | {"overlap": overlap}


def at(raw: RawData, positions: np.ndarray) -> RawData:
    """Return a scan with its frames at other positions; the truth is kept."""
    middle = raw.positions.mean(axis=0) - positions.mean(axis=0)
    rows, cols = (positions + middle).T
    return dataclasses.replace(raw, ycoords=rows, xcoords=cols)


def moved(step: str) -> Spoil:
    """Return the fault of a wrong axis or order of the positions."""
    return lambda raw, rng: at(raw, POSITION_STEPS[step](raw.positions))


def shaken(rms: float) -> Spoil:
    """Return the fault of random position errors; `rms` in object pixels."""
    return lambda raw, rng: at(
        raw, raw.positions + rms / 2**0.5 * rng.standard_normal(raw.positions.shape)
    )


def scaled(factor: float) -> Spoil:
    """Return the fault of a wrong unit of the positions."""
    return lambda raw, rng: at(raw, factor * raw.positions)


def with_frames(change: Callable[[np.ndarray], np.ndarray]) -> Spoil:
    """Return a fault of all frames."""
    return lambda raw, rng: dataclasses.replace(
        raw, frames=np.ascontiguousarray(change(np.asarray(raw.frames[:])))
    )


def flat_probe(raw: RawData, rng: np.random.Generator) -> RawData:
    """Return the scan with a Gaussian in place of its probe."""
    fwhm = raw.metadata["probe_fwhm"] if "probe_fwhm" in raw.metadata else raw.frame_size / 4
    power = float(np.square(np.abs(raw.probe)).sum())
    probe = make_probe("gaussian", raw.frame_size, fwhm=fwhm, photons=power)
    return dataclasses.replace(raw, probe=probe)


def background(raw: RawData, rng: np.random.Generator) -> RawData:
    """Return the scan with a background of a tenth of its photons."""
    frames = np.asarray(raw.frames[:])
    each = 0.1 * frames.mean()
    return dataclasses.replace(raw, frames=(frames + rng.poisson(each, frames.shape)).astype("u4"))


FAULTS: dict[str, Spoil] = {
    "axes swapped": moved("swap"),
    "rows negated": moved("negate_rows"),
    "frames transposed": with_frames(lambda f: f.transpose(0, 2, 1)),
    "positions off by 3 px": shaken(3.0),
    "positions off by 6 px": shaken(6.0),
    "scaled by 1.1": scaled(1.1),
    "scaled by 2": scaled(2.0),
    "rotated by 30 degrees": lambda raw, rng: at(raw, turned(raw.positions, np.pi / 6)),
    "probe wrong": flat_probe,
    "corner-centred": with_frames(lambda f: np.fft.ifftshift(f, axes=(1, 2))),
    "background 10 %": background,
}


def scans(first: int, n: int, faults: int) -> Iterator[tuple[str, RawData, dict]]:
    """Yield the right scans and, after each, some of its spoiled versions."""
    names = list(FAULTS)
    for number in range(first, first + n):
        raw, facts = right_scan(number)
        yield "right", raw, facts
        for i in range(faults):
            name = names[(faults * number + i) % len(names)]
            yield name, FAULTS[name](raw, np.random.default_rng(number)), facts


def row(name: str, raw: RawData, facts: dict) -> dict:
    """Return what a reconstruction of a scan looks like, and what its verdict is."""
    result = ptycho.reconstruct(raw, progress=False, cache=False, device="cpu", verdict=False)
    began = time.perf_counter()
    verdict = verdict_of(result)
    return facts | {
        "fault": name, "phase_psnr_db": ptycho.evaluate(result, truth=raw)["phase_psnr_db"],
        "seconds": result.seconds, "verdict_seconds": time.perf_counter() - began,
    } | verdict.document()  # fmt: skip


def table(rows: list[dict]) -> str:
    """Return how often each word was said, by fault and by whether the picture is wrong."""
    lines = ["| scans | picture | consistent | doubtful | wrong |", "|---|---|---|---|---|"]
    for name in ("right", *FAULTS):
        for is_wrong in (False, True):
            some = [r for r in rows if (r["phase_psnr_db"] < WRONG_DB) == is_wrong]
            words = [r["word"] for r in some if r["fault"] == name]
            if words:
                counts = (words.count(word) for word in ("consistent", "doubtful", "wrong"))
                picture = "below 15 dB" if is_wrong else "15 dB or more"
                lines.append(f"| {name} | {picture} | {' | '.join(map(str, counts))} |")
    share = sum(r["verdict_seconds"] for r in rows) / sum(r["seconds"] for r in rows)
    return "\n".join([*lines, "", f"Time of the verdict / of the reconstruction: {share:.2f}"])


def main() -> None:
    """Measure, write a line of JSON per reconstruction, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, default=48)
    parser.add_argument("--first", type=int, default=0, help="number of the first scan")
    parser.add_argument("--faults", type=int, default=4, help="per scan")
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    logging.getLogger("ptycho").setLevel(logging.ERROR)
    rows = []
    with chosen.out.open("w") as file:
        for scan in scans(chosen.first, chosen.scans, chosen.faults):
            rows.append(row(*scan))
            file.write(json.dumps(rows[-1]) + "\n")
            file.flush()
    print(table(rows))


if __name__ == "__main__":
    main()
