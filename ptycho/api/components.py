"""What the functions share: the type of groups, and the number of threads."""

import numpy as np
import torch
from jaxtyping import Int

Members = Int[np.ndarray, "group member"]
"""Frame indices, one row per group."""


def use_threads(threads: int | None) -> None:
    """Let PyTorch use so many CPU threads; None leaves the choice to it."""
    if threads is not None:
        torch.set_num_threads(threads)
