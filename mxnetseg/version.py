"""The version; in a file of its own, so that building the package need not import MXNet."""

__version__ = "1.0.0"
