"""``mxnetseg prepare``: make what training reads out of what the authors distribute.

One small function per data set says which files are to be made and how (:class:`.plan.Plan`); the
originals are never changed. Without an output folder the new files lie beside the originals, under
names of their own; with one, that folder is a complete data set, whose images are links.
"""

import inspect

from ...errors import UsageError
from ...registry import unknown
from .. import sources
from . import arrays, camvid, cityscapes, coco, nyuv2, pascal, sunrgbd
from .plan import run

PREPARATIONS = {
    "camvid": camvid.plan,
    "camvid32": camvid.plan,
    "cityscapes": cityscapes.plan,
    "cityscapes_coarse": cityscapes.plan_coarse,
    "cocostuff": arrays.cocostuff,
    "mscoco": coco.plan,
    "nyuv2": nyuv2.plan,
    "pascal_context": pascal.context,
    "pascal_voc_aug": pascal.voc_aug,
    "sbd": arrays.sbd,
    "siftflow": arrays.siftflow,
    "stanford_background": arrays.stanford_background,
    "sunrgbd": sunrgbd.plan,
}


def prepare(name, root, out=None, workers=None, progress=None):
    """Prepare a data set.

    Args:
        name: of the catalog.
        root: the folder of the originals.
        out: where to write. Default: ``root``.
        workers: threads. Default: the usable cores.
        progress: called with an iterable and ``total=``, returns it wrapped (``tqdm.tqdm``).

    Returns:
        :class:`.plan.Result`

    Raises:
        UsageError: a data set that is unknown or needs no preparation.
        MXNetSegError: missing or broken originals, a missing package, a full disk.
    """
    key = str(name).lower()
    if key not in PREPARATIONS:
        if key in sources.names():
            raise UsageError(f"{name} needs no preparation: it is read as it is distributed.")
        raise unknown("data set to prepare", name, PREPARATIONS)
    return run(PREPARATIONS[key], root, out or root, workers, progress)


def describe(name):
    """The first line about a preparation."""
    return inspect.getdoc(PREPARATIONS[name]).splitlines()[0]
