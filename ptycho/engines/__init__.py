"""Iterative reconstruction: problem and start in, solution out.

Data flow: patches -> object -> [engine] -> object of the whole scan.
`engines.problem.Engine` states what an engine provides. A row of the table is a function that is
called with the trained network and returns an engine. Importing the table does not import torch.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ptycho.tables import Row, Table

if TYPE_CHECKING:
    from ptycho.engines.problem import Engine

ENGINES: "Table[Callable[[Any], Engine]]" = Table(
    "engine",
    {
        "auto": Row(
            "ptycho.engines.automatic:build",
            "iterations over all frames, then what is worth its time at the asked quality",
        ),
        "learned": Row(
            "ptycho.engines.learned:build",
            "iterations over all frames, then the update steps of the network",
        ),
        "map": Row(
            "ptycho.engines.most_probable:build",
            "iterations over all frames, then the most probable object: maximum a posteriori",
        ),
        "sweeps": Row("ptycho.engines.sweeps:build", "the iterations over all frames alone"),
        "lsqml": Row(
            "ptycho.engines.ptychi:build_lsqml", "least squares, maximum likelihood of pty-chi"
        ),
        "rpie": Row("ptycho.engines.ptychi:build_rpie", "rPIE of pty-chi"),
    },
)
"""Engines by name."""
