"""Networks side by side: the lifted against the classic one, groups against single frames.

One simulated scan, every network trained on it from nothing for the same number of epochs, the
whole scan reconstructed by each, all in one run on one machine. Writes a Markdown table and a JSON
file. About ten minutes on one core.

    python benchmarks/networks.py [--quick] [--output docs/benchmarks]
"""

import argparse
import json
import platform
import tempfile
import time
from pathlib import Path

import torch

from ptycho.commands import reconstruct, simulate, train
from ptycho.settings.reconstruct import InferenceConfig
from ptycho.settings.simulate import SimulateConfig
from ptycho.settings.train import TrainConfig

SCAN = {"photons": 6e5, "seed": 1}
ROWS = [("unet", 1), ("lifted", 1), ("unet", 2), ("lifted", 2)]
COLUMNS = [
    ("phase_psnr_db", "phase PSNR, dB", ".1f"),
    ("amplitude_psnr_db", "amplitude PSNR, dB", ".1f"),
    ("frc_05_share_of_nyquist", "FRC 0.5, of Nyquist", ".3f"),
    ("detector_residual", "detector residual", ".4f"),
    ("training_s", "training, s", ".0f"),
    ("inference_s", "inference with stitching, s", ".1f"),
    ("swept_phase_psnr_db", "with sweeps: phase PSNR, dB", ".1f"),
    ("swept_frc_05_share_of_nyquist", "FRC 0.5, of Nyquist", ".3f"),
    ("swept_inference_s", "s", ".1f"),
]


def measure(scan: Path, folder: Path, network: str, gridsize: int, epochs: int) -> dict:
    """Train, reconstruct without and with sweeps, and return the figures of the run."""
    model = folder / f"{network}_{gridsize}"
    started = time.perf_counter()
    train.run(
        TrainConfig(
            train_data_file=scan, output_dir=model, network=network, gridsize=gridsize,
            nepochs=epochs, progress=False, threads=torch.get_num_threads(),
        )
    )  # fmt: skip
    row = {"network": network, "gridsize": gridsize, "epochs": epochs}
    row["training_s"] = time.perf_counter() - started
    for prefix, sweeps in (("", 0), ("swept_", None)):
        started = time.perf_counter()
        found = reconstruct.run(
            InferenceConfig(
                model_path=model, test_data=scan, output_dir=model / f"{prefix}object",
                sweeps=sweeps, progress=False,
            )
        )  # fmt: skip
        row[f"{prefix}inference_s"] = time.perf_counter() - started
        document = json.loads((found / "metrics.json").read_text())
        figures = document["object"] | {"detector_residual": document["detector_residual"]}
        row |= {prefix + key: value for key, value in figures.items()}
    return row


def table(rows: list[dict]) -> str:
    """Return the rows as Markdown."""
    titles = ["network", "gridsize", "epochs", *(title for _, title, _ in COLUMNS)]
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    for row in rows:
        cells = [row["network"], str(row["gridsize"]), str(row["epochs"])]
        cells += [format(row[key], spec) for key, _, spec in COLUMNS]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run every row and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="2 epochs on 400 frames")
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    frames, epochs = (400, 2) if args.quick else (2000, 15)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scan = folder / "scan.npz"
        simulate.run(SimulateConfig(output=scan, n_frames=frames, **SCAN))
        rows = [measure(scan, folder, network, gridsize, epochs) for network, gridsize in ROWS]
    where = f"{platform.machine()}, {args.threads} thread(s), torch {torch.__version__}"
    text = (
        "# Networks\n\n"
        f"{frames:,} simulated frames of 64 x 64, {SCAN['photons']:g} photons each, known probe; "
        f"an epoch is every frame once, as single frames or as M // 4 groups. {where}. "
        "Inference counts loading, stitching and pictures. Made by `benchmarks/networks.py`.\n\n"
        + table(rows)
        + "\n"
    )
    print(text)
    if not args.quick:
        args.output.mkdir(parents=True, exist_ok=True)
        (args.output / "networks.md").write_text(text)
        (args.output / "networks.json").write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
