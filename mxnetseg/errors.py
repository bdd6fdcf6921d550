"""Errors that a user can cause, and therefore repair."""


class MXNetSegError(Exception):
    """The work failed: bad data, a bad file, a full disk. The command line exits with code 1.

    The message is one or two sentences that name the cause and the remedy.
    """

    exit_code = 1


class UsageError(MXNetSegError, ValueError):
    """The command or the configuration is wrong. The command line exits with code 2."""

    exit_code = 2
