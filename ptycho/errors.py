"""The mistakes a user can make, each told in one line.

Stands below every other module: anything may raise these, nothing here imports.
A message reads `where: what was found; what was expected [; what to do]`; the command line prints
it behind the command's name and exits with code 2.
"""


class PtychoError(Exception):
    """A mistake in what the user handed over; the message is one complete line."""


class DataError(PtychoError):
    """A scan or result file that is missing, incomplete or contradicts itself."""


class ConfigError(PtychoError):
    """A setting with a value outside its range, or settings that exclude each other."""


class GroupingError(PtychoError):
    """Scan positions that cannot form the groups asked for."""


class ModelError(PtychoError):
    """A trained model that is missing, damaged or made for other data."""
