"""Where to compute: the devices that PyTorch finds on this machine."""

import torch

from ptycho.errors import ConfigError


def choose_device(name: str) -> torch.device:
    """Return the device a setting names; auto takes CUDA, then MPS, then the CPU.

    Raises:
        ConfigError: If this machine has no such device.
    """
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, found in present.items() if found))
    if not present[name]:
        found = ", ".join(kind for kind, found in present.items() if found)
        raise ConfigError(f"device: {name}, which PyTorch does not see; expected auto or {found}")
    return torch.device(name)
