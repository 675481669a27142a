"""What the installation can do here: versions, device, threads and a quick measure of speed.

Answers the first questions of every report of a problem; touches no scan and writes nothing.
"""

import importlib.metadata
import platform
import time
from collections.abc import Callable

import torch

from ptycho import __version__

_PACKAGES = ("torch", "numpy", "scipy", "lightning", "scikit-image", "click")
_SIZE, _FRAMES = 1024, 64


def run() -> str:
    """Return the report, one fact a line."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    generator = torch.Generator().manual_seed(0)
    square = torch.randn(_SIZE, _SIZE, generator=generator).to(device)
    frames = torch.randn(_FRAMES, 128, 128, dtype=torch.complex64, generator=generator).to(device)
    multiply = _best_time(lambda: square @ square, device)
    transform = _best_time(lambda: torch.fft.fft2(frames), device)
    facts = {
        "ptycho": __version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        **{name: importlib.metadata.version(name) for name in _PACKAGES},
        "device": _device_name(device),
        "threads": str(torch.get_num_threads()),
        "matrix product": f"{2 * _SIZE**3 / multiply / 1e9:,.0f} GFLOP/s ({_SIZE} x {_SIZE})",
        "Fourier transform": f"{_FRAMES / transform:,.0f} frames/s (128 x 128, complex)",
    }
    return "\n".join(f"{name:<18} {value}" for name, value in facts.items())


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return "mps, cpu otherwise" if torch.backends.mps.is_available() else "cpu"


def _best_time(action: Callable[[], torch.Tensor], device: torch.device) -> float:
    """Return the seconds of the fastest of five runs, the device's queue emptied each time."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        action()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times)
