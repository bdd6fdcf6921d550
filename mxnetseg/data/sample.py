"""What a data set gives: an image with its mask."""

from typing import NamedTuple, Optional

import numpy as np


class Sample(NamedTuple):
    """An image with its mask.

    Attributes:
        image: uint8 (H, W, 3), RGB; or what the data set's ``channels`` and ``max_value`` say,
            see :func:`~mxnetseg.data.images.read_image`.
        mask: uint8 (H, W), classes, 255 = ignored; None where the split has no labels.
        name: the path of the image below the root, with ``/``.
    """

    image: np.ndarray
    mask: Optional[np.ndarray]
    name: str
