"""What happens during a training, kept in the folder of its run: `history.jsonl` and a picture.

Data flow: training -> [history.jsonl, logs/current.npz] -> report, viewer.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ptycho.io.npz import write_npz
from ptycho.runs.files import HISTORY_FILE, PICTURE_FILE


class FolderJournal:
    """Journal of a training; what `ptycho.learning.callbacks.Journal` asks for.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self) -> None:
        """Leave an empty history; the folder is made when missing."""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / HISTORY_FILE).write_text("", encoding="utf-8")

    def note(self, entry: Mapping[str, Any]) -> None:
        """Add one line to the history.

        Args:
            entry: `epoch` with numbers, or `epoch` and `finding`, a sentence.

        Raises:
            OSError: If the file cannot be written.
        """
        with (self._folder / HISTORY_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(entry)) + "\n")

    def picture(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Replace the picture of the object.

        Args:
            arrays: `object`, `coverage`, `origin`, `epoch`.

        Raises:
            OSError: If the file cannot be written.
        """
        path = self._folder / PICTURE_FILE
        path.parent.mkdir(exist_ok=True)
        write_npz(path, arrays)
