"""What all commands with an output folder do: begin a run in it.

Data flow: settings -> [folder of the run].
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from ptycho.api.result import Result
from ptycho.errors import WrongPicture
from ptycho.runs import Run, begin, data_entry
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
    inputs = inputs_of(config)
    if finetune is not None and finetune != "general":
        inputs.append(("finetune", Path(finetune)))
    return begin(
        folder,
        kind=config.kind,
        settings=to_dict(config),
        data=pixel_files(inputs),
        inputs=inputs,
        overwrite=config.overwrite,
    )


def pixel_files(inputs: Iterable[tuple[str, Path]]) -> list[dict[str, Any]]:
    """Return the mask and the dark among the inputs of a command as its run lists them."""
    return [data_entry(role, path) for role, path in inputs if role in ("mask", "dark")]


def check_strict(result: Result, *, strict: bool) -> None:
    """Raise an error for a wrong result, once it is written.

    Args:
        result: with its verdict.
        strict: whether a wrong one is an error.

    Raises:
        WrongPicture: If the verdict is wrong.
    """
    if strict and result.verdict is not None and result.verdict.word == "wrong":
        raise WrongPicture(f"verdict {result.verdict.sentence()}")
