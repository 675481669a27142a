"""Groups of overlapping frames, as `ptycho.groups` returns them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from ptycho.api.shown import Shown
from ptycho.api.tables import Rows
from ptycho.grouping import Coverage
from ptycho.report.group_figure import draw_groups
from ptycho.report.notebook import Figure


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Groups(Shown):
    """Groups of overlapping frames sampled from a scan."""

    members: Int[np.ndarray, "group member"]
    """Frame indices, one row per group."""

    coverage: Coverage
    """What the groups use of the scan."""

    positions: Float[np.ndarray, "position 2"]
    """Probe centres (row, col) of the whole scan, object pixels."""

    sampling: str
    """How the groups were sampled."""

    def __len__(self) -> int:
        """Return the number of groups."""
        return len(self.members)

    def title(self) -> str:
        """Return what the value is, in one line."""
        n_groups, size = self.members.shape
        return f"Groups: {n_groups:,} of {size} frames, sampling {self.sampling}"

    def rows(self) -> Rows:
        """Return its numbers as pairs of name and value."""
        found = self.coverage
        overlap = found.median_overlap
        return [
            ("positions used", f"{found.n_different:,} of {found.n_positions:,}"),
            ("patterns", f"{found.n_patterns:,}, at most {found.most_uses} of one position"),
            ("largest gap", f"{found.largest_gap:.3g} px"),
            ("median overlap", "-" if np.isnan(overlap) else f"{100 * overlap:.0f} %"),
        ]

    def draw(self, figure: Figure) -> None:
        """Draw the positions and the groups into an empty figure."""
        draw_groups(figure, self.positions, self.members, self.coverage)

    def save(self, folder: Path | str, *, overwrite: bool = False) -> Path:
        """Write coverage.json and groups.png; return the folder.

        Args:
            folder: created if missing.
            overwrite: delete the results of an earlier run in it; otherwise they are moved to its
                subfolder earlier.
        """
        from ptycho.api.saving import save_found_groups

        return save_found_groups(self, Path(folder), overwrite=overwrite)
