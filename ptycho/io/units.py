"""Units of length and energy, as flags and files name them."""

from ptycho.errors import ConfigError

_JOULES_PER_EV = 1.602176634e-19

METRES: dict[str, float] = {
    "m": 1.0,
    "cm": 1e-2,
    "mm": 1e-3,
    "um": 1e-6,
    "nm": 1e-9,
    "A": 1e-10,
    "pm": 1e-12,
}
"""Length in metres of each unit that a flag or file may name."""

_SPELLINGS = {
    "metre": "m", "metres": "m", "meter": "m", "meters": "m", "micron": "um", "microns": "um",
    "micrometer": "um", "micrometre": "um", "μm": "um", "µm": "um", "[u_m]": "um", "[n_m]": "nm",
    "nanometer": "nm", "nanometre": "nm", "angstrom": "A", "angstroms": "A", "Å": "A", "å": "A",
    "millimeter": "mm", "millimetre": "mm", "picometer": "pm", "picometre": "pm",
}  # fmt: skip

_PHOTON_ENERGIES_EV = (10.0, 200e3)


def metres_per(unit: str) -> float | None:
    """Return the length of a unit in metres, however it is spelled; None if it is no length."""
    word = unit.strip()
    word = _SPELLINGS.get(word, _SPELLINGS.get(word.lower(), word))
    return METRES.get(word, METRES.get(word.lower()))


def length_factor(unit: str, where: str) -> float:
    """Return the length of a unit in metres.

    Raises:
        ConfigError: If it is no unit of length; names the place that used it.
    """
    factor = metres_per(unit)
    if factor is None:
        raise ConfigError(f"{where}: unit {unit!r}; expected one of {', '.join(METRES)}, px")
    return factor


def guessed_photon_energy_ev(value: float, unit: str = "") -> tuple[float, str] | None:
    """Return a photon energy in eV and the unit that it was read in.

    Files state photon energies in J, eV or keV, often without a unit; the ring energy of a storage
    ring (GeV) has been found in the same entry. Only an energy of 10 eV to 200 keV is accepted.

    Args:
        value: the number in the file.
        unit: what the file calls its unit; empty if it does not.

    Returns:
        None if no unit makes it the energy of a photon.
    """
    factors = {"J": 1 / _JOULES_PER_EV, "eV": 1.0, "keV": 1e3}
    named = next((name for name in factors if name.lower() == unit.strip().lower()), None)
    low, high = _PHOTON_ENERGIES_EV
    # keV before eV: 12 is a photon of 12 keV, for soft x-rays start near 100 eV.
    for name in (named,) if named else ("J", "keV", "eV"):
        energy = value * factors[name]
        if low <= energy <= high:
            return energy, name
    return None
