"""Writing one content into one format: what it needs, what it loses, complete files only.

Data flow: Content -> [files of another program].
"""

import contextlib
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from ptycho.errors import ConfigError, DataError
from ptycho.io.atomic import replacing
from ptycho.io.npz import reason
from ptycho.io.writers import WRITERS, format_for
from ptycho.io.writers.content import SAME_PIXEL, Content, Writer

logger = logging.getLogger(__name__)

_PIXEL_HINT = (
    "the size of an object pixel, as positions are in metres there: --object_pixel_nm, or "
    "--energy_kev, --distance_m and --detector_pixel_um"
)


def write_content(
    content: Content,
    path: Path,
    *,
    to: str | None = None,
    overwrite: bool = False,
    sources: Iterable[Path] = (),
) -> tuple[Path, ...]:
    """Write a content; return its files, which are complete or not there.

    What the format cannot hold is logged as a warning.

    Args:
        content: a scan or a reconstruction.
        path: the file; a missing folder is created.
        to: a row of `WRITERS`; None takes the one with the ending of the file.
        overwrite: whether existing files are replaced.
        sources: files that are being read; none of them is ever replaced.

    Raises:
        ConfigError: If the format is unknown, or a file exists and may not be replaced.
        DataError: If the content lacks what the format needs, or the folder cannot be written.
    """
    to = format_for(path, to)
    writer = WRITERS[to]
    _check_complete(content, writer, to)
    files = _files(content, writer, path)
    check_files(files, overwrite=overwrite, sources=sources)
    _warn_of_two_pixels(content)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            for file, write in files.items():
                write(content, stack.enter_context(replacing(file)))
    except (OSError, RuntimeError) as problem:
        raise DataError(
            f"{path}: cannot be written ({reason(problem)}); expected a writable folder with room"
        ) from None
    for file in files:
        logger.info("%s: written as %s, %.3g MB", file, to, file.stat().st_size / 1e6)
    lost = [part for part in content.parts() if part not in writer.holds]
    if lost:
        logger.warning("%s cannot hold: %s", to, ", ".join(lost))
    return tuple(files)


def check_files(files: Iterable[Path], *, overwrite: bool, sources: Iterable[Path] = ()) -> None:
    """Raise an error if one of the files to write may not be replaced.

    Raises:
        DataError: If it is one of `sources`.
        ConfigError: If it is a folder, or exists and `overwrite` is false.
    """
    sources = list(sources)
    for file in files:
        if not file.exists():
            continue
        if any(source.exists() and file.samefile(source) for source in sources):
            raise DataError(f"{file}: is the source itself; expected another name to write to")
        if file.is_dir():
            raise ConfigError(f"output: {file} is a folder; expected a file name")
        if not overwrite:
            raise ConfigError(f"output: {file} exists; expected a new file, or --overwrite")


def _check_complete(content: Content, writer: Writer, to: str) -> None:
    missing = writer.needs - set(content.parts())
    if not missing:
        return
    if "pixel size" in missing:
        raise DataError(f"{content.source}: cannot be written as {to}; expected {_PIXEL_HINT}")
    raise DataError(
        f"{content.source}: no {', '.join(sorted(missing))}; expected it, as {to} holds "
        f"{', '.join(sorted(writer.holds & {'frames', 'object'}))}"
    )


def _files(
    content: Content, writer: Writer, path: Path
) -> dict[Path, Callable[[Content, Path], None]]:
    second = writer.companion
    if second is None or second.part not in content.parts():
        return {path: writer.write}
    companion = path.with_name(f"{path.stem}{second.suffix}{path.suffix}")
    return {path: writer.write, companion: second.write}


def _warn_of_two_pixels(content: Content) -> None:
    """Warn if the geometry implies another object pixel than the one that positions are in."""
    stated, by_geometry = (
        content.pixel_size_m,
        content.geometry.object_pixel_m(content.probe.shape[-1]),
    )
    if stated is None or by_geometry is None:
        return
    if abs(stated / by_geometry - 1) > SAME_PIXEL:
        logger.warning(
            "%s: object pixel %.4g nm, %.4g nm by its geometry; other programs may use either",
            content.source, 1e9 * stated, 1e9 * by_geometry,
        )  # fmt: skip
