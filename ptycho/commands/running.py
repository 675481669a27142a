"""What all commands with an output folder do: begin a run in it.

Data flow: settings -> [folder of the run].
"""

from contextlib import AbstractContextManager
from pathlib import Path

from ptycho.runs import Run, begin
from ptycho.settings.base import inputs_of, to_dict
from ptycho.settings.shared import FolderSettings


def begun(
    config: FolderSettings, folder: Path, *, finetune: str | None = None
) -> AbstractContextManager[Run]:
    """Return the run of a command as a block; see `ptycho.runs.begin`.

    Args:
        config: settings of the command.
        folder: of the run.
        finetune: folder of a model to start from, or "general".
    """
    start = None if finetune is None or finetune == "general" else Path(finetune)
    inputs = inputs_of(config) | {"finetune": start}
    return begin(
        folder,
        kind=config.kind,
        settings=to_dict(config),
        inputs=inputs,
        overwrite=config.overwrite,
    )
