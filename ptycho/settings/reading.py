"""From the flags of a scan file to what the readers take, in SI units.

The flags are words and numbers that a user types; each fault names its flag.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ptycho.errors import ConfigError
from ptycho.experiment import Geometry, electron_wavelength, photon_wavelength
from ptycho.io.array_file import read_array
from ptycho.io.orientation import FRAME_STEPS, POSITION_STEPS, PROBE_STEPS, words
from ptycho.io.readers.mapped import QUANTITIES
from ptycho.io.reading import MappedEntry, Reading
from ptycho.io.units import length_factor
from ptycho.scan.exclusion import Exclude
from ptycho.settings.base import describe, from_mapping, inputs_of
from ptycho.settings.shared import ScanFileSettings


def reading_of(settings: ScanFileSettings) -> Reading:
    """Return how a command is to read its scan.

    Raises:
        ConfigError: If a word or number cannot be understood.
        DataError: If the file of a mask or dark cannot be read.
    """
    if settings.positions_unit not in (None, "px"):
        length_factor(str(settings.positions_unit), "positions_unit")
    inverted = settings.mask_polarity == "bad"
    mask = None if settings.mask is None else read_array(settings.mask, "mask")
    if mask is not None and inverted:
        mask = np.asarray(mask) == 0
    step_m = _numbers(settings.step_nm, "step_nm", 1, 2, unit=1e-9)
    shape = _numbers(settings.scan_shape, "scan_shape", 2, 2)
    return Reading(
        measurement=settings.measurement,
        mask=mask,
        mask_inverted=inverted,
        dark=None if settings.dark is None else read_array(settings.dark, "dark"),
        gain=settings.gain or 1.0,
        pedestal=settings.pedestal or 0.0,
        clip=settings.pedestal is not None,
        mapped=_mapped(settings.map),
        join=tuple(path for name, path in inputs_of(settings) if name == "join"),
        scan_shape=None if shape is None else (_whole(shape[0]), _whole(shape[1])),
        step_m=step_m,
        step_px=_numbers(settings.step_px, "step_px", 1, 2),
        rotation=math.radians(settings.rotation_deg),
        geometry=Geometry(
            wavelength_m=_wavelength(settings),
            distance_m=settings.distance_m,
            detector_pixel_m=_scaled(settings.detector_pixel_um, 1e-6),
        ),
        semiangle=_scaled(settings.semiangle_mrad, 1e-3),
        object_pixel_m=_scaled(settings.object_pixel_nm, 1e-9),
        positions_unit=settings.positions_unit,
        frames=words(settings.frames, list(FRAME_STEPS), "frames"),
        positions=words(settings.positions, list(POSITION_STEPS), "positions"),
        probe=words(settings.probe, list(PROBE_STEPS), "probe"),
        skip=_skipped(settings.skip_frames),
        crop=settings.crop,
        center="auto"
        if settings.center == "auto"
        else _numbers(settings.center, "center", 2, 2, zero=True),
        bin=settings.bin,
    )


def _skipped(text: str | None) -> tuple[int, ...]:
    """Return the numbers of frames that a setting names; none for `found`."""
    numbers: set[int] = set()
    for word in _lines(text):
        first, dash, last = word.partition("-")
        if word == "found":
            continue
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ConfigError(f"skip_frames: {word!r}; expected numbers such as 17 or 100-120")
        numbers.update(range(int(first), int(last or first) + 1))
    return tuple(sorted(numbers))


def reading_of_run(
    settings: Mapping[str, Any],
    data: Sequence[Mapping[str, Any]] = (),
    given: ScanFileSettings | None = None,
) -> Reading:
    """Return how a run read its scan, from the settings in its record.

    Args:
        settings: of the run, by name; those that are none of a scan file are ignored.
        data: its inputs as recorded, with the places of joined files, mask and dark, and the
            numbers of the frames that it left out, found by the inspection or named.
        given: settings that take precedence where they are not the default.

    Raises:
        PtychoError: See `reading_of`.
    """
    known = describe(ScanFileSettings)
    chosen = {name: value for name, value in settings.items() if name in known}
    for role in ("join", "mask", "dark"):
        places = [str(entry["path"]) for entry in data if entry.get("role") == role]
        if places:
            chosen[role] = "\n".join(places)
    changed = {
        name: getattr(given, name)
        for name, setting in known.items()
        if given is not None and getattr(given, name) != setting.default
    }
    together = from_mapping(ScanFileSettings, chosen, changed, where="settings of the run")
    reading = reading_of(together)
    skipped = next((entry.get("skipped") for entry in data if "n_frames" in entry), None) or ()
    kept = not skipped or "skip_frames" in changed
    return reading if kept else replace(reading, skip=tuple(skipped))


def exclude_of(settings: ScanFileSettings) -> Exclude:
    """Return what a command may exclude from its scan on its own."""
    found = "found" in _lines(settings.skip_frames)
    return Exclude(automatic=not settings.keep_all, found=found)


def skips_found(settings: ScanFileSettings) -> bool:
    """Return whether the frames that an inspection names are to be left out."""
    return exclude_of(settings).found


def _wavelength(settings: ScanFileSettings) -> float | None:
    if settings.energy_kev is not None:
        return photon_wavelength(1e3 * settings.energy_kev)
    if settings.voltage_kv is not None:
        return electron_wavelength(1e3 * settings.voltage_kv)
    return None


def _scaled(value: float | None, unit: float) -> float | None:
    return None if value is None else value * unit


def _lines(text: str | None) -> list[str]:
    """Return the words of a flag that may be repeated, or of a list separated by commas."""
    return [word.strip() for word in (text or "").replace(",", "\n").split("\n") if word.strip()]


def _numbers(
    text: str | None, name: str, fewest: int, most: int, *, unit: float = 1.0, zero: bool = False
) -> tuple[float, float] | None:
    """Return two numbers that a flag holds, in `unit`; one number stands for both."""
    if text is None:
        return None
    parts = text.lower().replace("x", "\n").replace(",", "\n").split()
    try:
        found = [float(part) for part in parts]
    except ValueError:
        found = []
    wrong = any(not math.isfinite(n) or n < 0 or (n == 0 and not zero) for n in found)
    if not fewest <= len(found) <= most or wrong:
        shape = "two numbers" if fewest == 2 else "one number or two"
        raise ConfigError(f"{name}: {' '.join(parts)!r}; expected {shape} above 0")
    first, last = found[0] * unit, found[-1] * unit
    return first, last


def _whole(number: float) -> int:
    if not number.is_integer():
        raise ConfigError(f"scan_shape: {number:g}; expected whole numbers of rows and columns")
    return int(number)


def _mapped(text: str | None) -> dict[str, MappedEntry]:
    """Return the entries that `--map` names."""
    found: dict[str, MappedEntry] = {}
    for line in (text or "").split("\n"):
        if line.strip():
            name, entry = _one_mapped(line.strip())
            found[name] = entry
    return found


def _one_mapped(line: str) -> tuple[str, MappedEntry]:
    name, _, rest = line.partition("=")
    path, *options = rest.split(",")
    if name not in QUANTITIES or not path.strip():
        raise ConfigError(
            f"map: {line!r}; expected NAME=/PATH with a name of {', '.join(QUANTITIES)}"
        )
    return name, MappedEntry(path=path.strip(), **_options(line, options))


def _options(line: str, options: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for option in options:
        key, _, value = (part.strip() for part in option.partition("="))
        if key == "unit":
            values["unit"] = value
        elif key in ("scale", "sign"):
            try:
                values["scale"] = float(value)
            except ValueError:
                raise ConfigError(f"map: {line!r}: {key} {value!r}; expected a number") from None
        else:
            raise ConfigError(f"map: {line!r}: {key!r}; expected unit=... or scale=...")
    return values
