"""The table of origins: a module each, which holds all that is known about one.

Every origin has

* ``TITLE``: what messages call it;
* ``SIGNS``: entries of its files, of which any one shows that a file is this origin's and no
  other's.

A code base of segmentation networks (``CODE_BASES``) has besides

* ``NETWORKS``: {class name: function of its constructor's arguments}; the functions' signatures say
  which build options there are and what the original's defaults are. ``IGNORED``, if it is there:
  further options, which change nothing;
* ``create(build) -> net``: our network, parameters empty, for the constructor facts ``build`` in
  the origin's own words;
* ``original_names(net, build) -> {our name: the original's name}`` for every parameter of ``net``;
* ``unused(build, names) -> names`` of the file that the original saves, but never uses;
* ``guess(given, shapes) -> options``: the constructor facts that a file shows. ``given`` are those
  that somebody named, ``shapes`` a ``shapes.Shapes`` without a wrapper's prefix;
* ``HOMES``: {our network: pattern of the names of its backbones}, what can become its file;
* ``DATA_OPTIONS``: {number of classes: the options with which a data set has the code base's
  classes in its order}, as far as a data set has them;
* ``renamed(net, build, state) -> {name in the file: standard name}``, if it has files of several
  layouts.

A library of ImageNet classifiers (``LIBRARIES``), whose files start a backbone, has besides

* ``KNOWN``: those that are a backbone here, for the error;
* ``backbone(shapes) -> (family, {our name: its name})``: what a file is; None if it is nothing
  known, UsageError with the reason if no backbone here gives the same maps.

One whose files can be written too (``WRITTEN``) has besides

* ``MODELS``: {our backbone: the library's model with the same layout};
* ``their_path(backbone, path) -> path``: where that model has a part of the backbone: the inverse
  of ``backbone(shapes)``.
"""

import importlib

from ..registry import unknown

CODE_BASES = ("mxnetseg", "semseg", "sanet", "pidnet", "mlmsnet", "pmsdsen")
LIBRARIES = ("torchvision", "timm", "gluoncv", "tonylins")
WRITTEN = ("torchvision", "timm")

NAMES = (*CODE_BASES, *LIBRARIES)
SYSTEMS = (*CODE_BASES, "pmsdsen_parts")
"""What :func:`convert.from_original` knows: the code bases, and single modules of one."""


def get(name, known=NAMES):
    """The module of an origin; UsageError with near matches for one that is not ``known``."""
    if name not in known:
        raise unknown("origin", name, known)
    return importlib.import_module(f"{__package__}.{name}")
