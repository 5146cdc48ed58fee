"""Errors a user can act on: one line, what was found and what to do."""


class PcavsError(Exception):
    """Base of every error that the command line prints as one line, without a trace, with exit code 1."""


class InputError(PcavsError):
    """A file or value that the user gave cannot be used as it is."""


class FaceError(InputError):
    """A picture or film has no usable face."""


class OutputError(PcavsError):
    """A result cannot be written where the user asked for it."""


class WeightsError(PcavsError):
    """A weights file is missing, damaged, or does not fit its own spec."""


class DataError(PcavsError):
    """Training data is missing or damaged."""
