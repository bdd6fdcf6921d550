"""The command line: ``mxnetseg <verb>``, a file per verb."""

from .main import main

__all__ = ["main"]
