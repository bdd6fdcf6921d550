"""A receptive field along an axis, and what a node of a graph sees."""

from typing import Dict, NamedTuple, Tuple

ROWS, COLUMNS = 0, 1


class Field(NamedTuple):
    """What position i of a map sees along an axis: pixels start + i stride ... end + i stride."""

    start: float
    end: float
    stride: float

    @property
    def size(self):
        return self.end - self.start + 1

    @property
    def center(self):
        """Of position 0."""
        return (self.start + self.end) / 2

    def window(self, kernel, stride=1, padding=0, dilation=1):
        """Behind a sliding window."""
        start = self.start - padding * self.stride
        end = self.end + ((kernel - 1) * dilation - padding) * self.stride
        return Field(start, end, self.stride * stride)

    def resized(self, ratio, first, taps):
        """Behind reading ``taps`` neighbours around first + i ratio."""
        reach = (taps - 1) / 2
        return Field(
            self.start + (first - reach) * self.stride,
            self.end + (first + reach) * self.stride,
            self.stride * ratio,
        )


class View(NamedTuple):
    """What the values of a node see.

    Attributes:
        axes: {ROWS or COLUMNS: (dimension of the values, Field)}; none where places are mixed.
        everything: whether there is a path from the whole image.
    """

    axes: Dict[int, Tuple[int, Field]]
    everything: bool = False


NOTHING = View({})
