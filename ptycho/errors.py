"""Errors caused by the input of a user, each with a message of one line.

The lowest layer: every module may raise these, this one imports none.
A message reads `where: what was found; what was expected [; what to do]`; the command line prints
it after the name of the command and exits with code 2.
"""


class PtychoError(Exception):
    """A mistake in the input; the message is one complete line."""


class DataError(PtychoError):
    """A scan or result file that is missing, incomplete or inconsistent."""


class ConfigError(PtychoError):
    """A setting outside its range, or settings that exclude each other."""


class WrongPicture(PtychoError):
    """A result, written, whose frames contradict it; the command line exits with code 3."""


class GroupingError(PtychoError):
    """Scan positions that cannot form the requested groups."""


class ModelError(PtychoError):
    """A trained model that is missing, damaged or made for other data."""
