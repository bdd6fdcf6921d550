"""The trained networks that come with the toolkit: ``weights/*.params`` of the repository.

A clone (and an editable installation of it) reads them there; ``setup.py`` puts them into
``mxnetseg/shipped`` of a wheel.
"""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
FOLDERS = (PACKAGE.parent / "weights", PACKAGE / "shipped")
DEFAULT = "streets"
"""What ``mxnetseg predict`` takes where nothing was trained yet."""


def names():
    """The names of the networks that are there, sorted."""
    return sorted({path.stem for folder in FOLDERS for path in folder.glob("*.params")})


def find(name):
    """The path of a shipped network, or None."""
    paths = (folder / f"{name}.params" for folder in FOLDERS)
    return next((str(path) for path in paths if path.is_file()), None)
