"""Positions in text: CSV, columns of numbers, LamNI .dat, SPEC.

Data flow: [file] -> Recorded -> fields -> RawData -> ...

Layouts:
    With a line of names: columns x, y or row, col, their units in the names (`x_um`, `Y [nm]`);
        separated by commas, semicolons (then with decimal commas), tabs or spaces.
    Without: two columns in metres as ptychodus has them, .csv = (y, x), any other = (x, y).
    LamNI (softGlue, `Detector_Count` from 1; Orchestra, `DataPoint` from 0): sample motors
        `Average_x_st_fzp`, `Average_y_st_fzp` in um, so the probe is at (-y, -x).
    SPEC: `#L` names the columns of the one scan in the file.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped

from ptycho.errors import DataError
from ptycho.io.recorded import Recorded
from ptycho.io.units import METRES, metres_per

ENDINGS = (".csv", ".txt", ".dat", ".tsv", ".spec", ".spc", ".pos", ".xy")
_NUMBER = r"[-+]?(\d+([.,]\d*)?|[.,]\d+)([eEdD][-+]?\d+)?|[-+]?nan"
_CELL = re.compile(_NUMBER, re.IGNORECASE)
_COMMENT = "#%!"
_PIXELS = ("px", "pixel", "pixels")
_NUMBERS = {"index", "frame", "point", "punkt", "number", "no", "n", "datapoint", "detector_count"}
_LARGEST_M = 0.01  # larger values without a unit are no metres
_SPREADS = {"stdev", "std", "sigma", "error", "err", "target"}


@dataclass(frozen=True, kw_only=True, eq=False)
class _Table:
    """Numbers with the names of their columns, if they have any."""

    values: Float[np.ndarray, "row column"]
    names: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)


def suits(path: Path, head: bytes) -> bool:
    """Return whether a file is text that may hold a table, by its name or its first lines."""
    if not head or b"\0" in head or path.is_dir():
        return False
    text = head.decode("utf-8-sig", "ignore")
    if sum(c.isprintable() or c in "\r\n\t" for c in text) < 0.99 * len(text):
        return False
    if path.suffix.lower() in ENDINGS:
        return True
    lines = [line.strip() for line in text.splitlines()[:20]]
    return any(len(_cells(line)) > 1 and all(map(_is_number, _cells(line))) for line in lines)


def read(path: Path) -> Recorded:
    """Return the positions in a text file.

    Raises:
        DataError: If it is no table of numbers, or its columns are not known.
    """
    text = path.read_bytes().decode("utf-8-sig", "replace")
    lines = text.splitlines()
    table = _spec(path, lines) if any(line.startswith("#L ") for line in lines) else None
    table = table or _table(path, lines)
    if not np.isfinite(table.values).all():
        raise DataError(f"{path}: values that are not finite; expected numbers")
    names = [name.lower() for name in table.names]
    if "average_x_st_fzp" in names and "average_y_st_fzp" in names:
        return _lamni(table, names)
    return _named(path, table) if names else _unnamed(path, table)


def _table(path: Path, lines: list[str]) -> _Table:
    """Return the rows of numbers, and the names on the last line before them."""
    rows: list[list[float]] = []
    before = ""
    for i, line in enumerate(lines, start=1):
        stripped = line.strip()
        cells = _cells(stripped)
        if not stripped or (rows and stripped[0] in _COMMENT):
            continue
        if len(cells) > 1 and all(map(_is_number, cells)):
            rows.append([_value(cell) for cell in cells])
        elif rows:
            raise DataError(f"{path}: line {i} is {stripped[:60]!r}; expected numbers")
        else:
            before = stripped
        if rows and len(rows[-1]) != len(rows[0]):
            raise DataError(
                f"{path}: line {i} has {len(rows[-1])} columns; expected {len(rows[0])}"
            )
    if not rows:
        first = next((line.strip() for line in lines if line.strip()), "")
        raise DataError(
            f"{path}: text without a table of numbers (begins {first[:40]!r}); expected positions "
            "in columns x and y"
        )
    n = len(rows[0])
    names = _cells(before.lstrip(_COMMENT).strip())
    return _Table(values=np.array(rows), names=tuple(names) if len(names) == n else ())


def _cells(line: str) -> list[str]:
    """Return the cells of a line; a semicolon or tab before a comma, a comma before spaces."""
    for mark in (";", "\t"):
        if mark in line:
            return [cell.strip() for cell in line.split(mark)]
    spaced = line.split()
    if len(spaced) > 1 and all(re.fullmatch(r"[-+]?\d+,\d+", cell) for cell in spaced):
        return spaced  # decimal commas
    return [cell.strip() for cell in line.split(",")] if "," in line else spaced


def _is_number(cell: str) -> bool:
    return _CELL.fullmatch(cell) is not None


def _value(cell: str) -> float:
    return float(cell.replace(",", ".").lower().replace("d", "e"))


def _spec(path: Path, lines: list[str]) -> _Table | None:
    """Return the scan of a SPEC file that has columns for positions.

    Raises:
        DataError: If there are several.
    """
    found, title = {}, ""
    for i, line in enumerate(lines):
        if line.startswith("#S "):
            title = line[3:].strip()
        if line.startswith("#L "):
            names = re.split(r"\s{2,}|\t", line[3:].strip())
            rows = []
            for data in lines[i + 1 :]:
                if data.startswith("#S ") or data.startswith("#L "):
                    break
                cells = data.split()
                if len(cells) == len(names) and all(map(_is_number, cells)):
                    rows.append([_value(cell) for cell in cells])
            if rows and _column(names, "x") is not None and _column(names, "y") is not None:
                found[title] = _Table(
                    values=np.array(rows), names=tuple(names), notes=[f"SPEC scan {title}"]
                )
    if len(found) > 1:
        raise DataError(
            f"{path}: {len(found)} SPEC scans with x and y ({', '.join(found)[:80]}); expected a "
            "file with one"
        )
    return next(iter(found.values()), None)


def _lamni(table: _Table, names: list[str]) -> Recorded:
    """Return positions of the LamNI instrument."""
    x, y = (table.values[:, names.index(f"average_{axis}_st_fzp")] for axis in "xy")
    numbers = None
    for name, first in (("detector_count", 1), ("datapoint", 0)):
        if name in names:
            numbers = np.rint(table.values[:, names.index(name)]).astype(np.int64) - first
    return Recorded(
        source="LamNI positions",
        positions=np.stack([-y, -x], axis=1),
        positions_unit="um",
        position_numbers=numbers,
        notes=(f"{len(x)} positions of LamNI sample motors, negated",),
    )


def _named(path: Path, table: _Table) -> Recorded:
    """Return the columns whose names are those of positions."""
    names = list(table.names)
    chosen = [_column(names, axis) for axis in ("y", "x")]
    if None in chosen:
        raise DataError(
            f"{path}: columns {', '.join(names)[:80]}; expected x and y, or row and col"
        )
    row, col = (int(i) for i in chosen if i is not None)
    units = [_unit(names[i]) for i in (row, col)]
    values = table.values[:, [row, col]]
    notes = [*table.notes, f"columns {names[row]} and {names[col]} as (row, col)"]
    if units[0] != units[1]:
        factors = [metres_per(unit) for unit in units]
        if None in factors:
            raise DataError(
                f"{path}: columns {names[row]} and {names[col]}; expected the same unit in both"
            )
        values, units = values * np.array(factors, np.float64), ["m", "m"]
    unit = units[0]
    if not unit:
        pixels = np.abs(values).max(initial=0) > _LARGEST_M or _word(names[row]) == "row"
        unit = "px" if pixels else "m"
        notes.append(f"no unit in the names: taken as {unit}; else set --positions_unit")
    return Recorded(
        source="text positions",
        positions=values,
        positions_unit=unit,
        position_numbers=_numbers(table, names),
        notes=notes,
    )


def _unnamed(path: Path, table: _Table) -> Recorded:
    if table.values.shape[1] != 2:
        raise DataError(
            f"{path}: {table.values.shape[1]} columns without names; expected 2, or a line of "
            "names such as x_um,y_um"
        )
    rows_first = path.suffix.lower() == ".csv"
    values = table.values if rows_first else table.values[:, ::-1]
    metres = np.abs(values).max(initial=0) <= _LARGEST_M
    order = "(y, x)" if rows_first else "(x, y)"
    return Recorded(
        source="text positions",
        positions=values.copy(),
        positions_unit="m" if metres else "px",
        notes=(
            f"no names of columns: taken as {order} in {'metres' if metres else 'object pixels'}, "
            "as in ptychodus; else set --positions swap, --positions_unit",
        ),
    )


def _word(name: str) -> str:
    """Return row or col, x or y, where a name means one of them; else nothing."""
    words = [word for word in re.split(r"[^a-z]+", name.lower()) if word]
    if _SPREADS & set(words):
        return ""
    for word in words:
        plain = re.sub(r"^(positions?|probe|pos|sample|sam|motor|pp)(?=[xy]$)", "", word)
        plain = re.sub(r"(?<=^[xy])(pos|position|positions|coords?)$", "", plain)
        if plain in ("x", "y", "row", "col"):
            return plain
        if plain in ("rows", "column", "columns", "cols"):
            return plain[:3]
    return ""


def _column(names: list[str], axis: str) -> int | None:
    """Return the column of an axis, x or y: the first whose name means it."""
    meant = {"x": ("x", "col"), "y": ("y", "row")}[axis]
    return next((i for i, name in enumerate(names) if _word(name) in meant), None)


def _unit(name: str) -> str:
    """Return the unit in the name of a column, as a unit that settings know; empty without."""
    for word in reversed(re.split(r"[\s_\[\](){}/,]+", name.strip())):
        if word.lower() in _PIXELS:
            return "px"
        factor = metres_per(word) if word else None
        if factor is not None:
            return next(unit for unit, length in METRES.items() if length == factor)
    return ""


def _numbers(table: _Table, names: list[str]) -> Shaped[np.ndarray, " row"] | None:
    """Return the frame number of each row, where a column counts with gaps."""
    found = [i for i, name in enumerate(names) if name.strip().lower() in _NUMBERS]
    if not found:
        return None
    counted = table.values[:, found[0]]
    if not np.array_equal(counted, np.rint(counted)) or np.all(np.diff(counted) == 1):
        return None
    numbers = counted.astype(np.int64)
    if len(np.unique(numbers)) != len(numbers):
        return None
    table.notes.append(f"column {names[found[0]]} numbers the frames")
    return numbers - (0 if numbers.min() == 0 else 1)
