"""The contract of a network, stated once, and the table of all networks."""

import warnings

import mxnet as mx

from ..errors import UsageError
from ..nn import TwoGraphBlock, resize_like, sequential
from ..registry import Registry, unknown
from .published import PUBLISHED

registry = Registry("network")


class SegmentationModel(TwoGraphBlock):
    """Images (N, 3, H, W), float32, normalised -> tuple of logits (N, num_classes, H, W).

    The main output comes first. A subclass implements :meth:`logits` and sets, where the defaults
    do not fit. Its constructor's further arguments are options of the command line.

    Args:
        num_classes: channels of the logits.
        backbone: what makes c1 ... c4; None in networks with a trunk of their own.
        aux: (of subclasses) with the auxiliary and boundary heads.

    Attributes:
        output_names: ("main",) or ("main", "aux", ...). A "boundary" output has one channel.
        aux_weights: default loss weights of the outputs behind the main one.
        align_corners: how outputs are enlarged to the input's size.
        size_divisor, size_remainder, min_size: H and W must be multiples of the divisor, plus the
            remainder, and not below min_size.
        fixed_size: (H, W), if the network takes no other.
        min_batch: images per device below which training makes no sense (batch norm over one
            value).
        in_channels: channels of the images, see ``models.create``.
        default_backbone, default_output_stride: what ``models.create`` takes when it is not told.
        output_strides: those that the network permits.
        created_with: the arguments of ``models.create`` that make this network again, as JSON;
            None if its backbone was not made by ``backbones.create``.
    """

    output_names = ("main",)
    aux_weights = ()
    align_corners = True
    size_divisor = 1
    size_remainder = 0
    min_size = 1
    fixed_size = None
    min_batch = 1
    in_channels = 3
    default_backbone = "resnet50"
    default_output_stride = 32
    output_strides = (8, 16, 32)
    created_with = None
    aux_head = None

    def __init__(self, num_classes, backbone=None):
        super().__init__()
        self.num_classes = num_classes
        self.backbone = backbone
        if backbone is not None:
            self.min_size = max(self.min_size, backbone.min_size)
            self.min_batch = max(self.min_batch, backbone.min_batch)
        self._upsample_outputs = True
        self._main_only = False

    def logits(self, F, x):
        """Images -> tuple of logits at the network's own resolution, in order of output_names.

        Auxiliaries may be left out while ``main_only`` is set.
        """
        raise NotImplementedError

    def add_aux_heads(self, *heads):
        """Have auxiliary ``heads``: one is ``aux_head`` itself, several are its children."""
        self.aux_head = heads[0] if len(heads) == 1 else sequential(*heads)
        numbers = [""] if len(heads) == 1 else range(1, len(heads) + 1)
        self.output_names = ("main", *(f"aux{i}" for i in numbers))

    def with_aux(self, main, *maps):
        """What :meth:`logits` returns: ``main`` and, where wanted, each auxiliary head's output."""
        heads = [self.aux_head] if len(maps) == 1 or self.aux_head is None else self.aux_head
        return self.with_heads(main, *zip(heads, maps))

    def with_heads(self, main, *heads):
        """The same of pairs (head, the map that it reads); a head that is None is not there."""
        if self.main_only:
            return (main,)
        return (main, *(head(x) for head, x in heads if head is not None))

    def hybrid_forward(self, F, x):
        outputs = self.logits(F, x)
        if self._main_only:
            outputs = outputs[:1]
        if self._upsample_outputs:
            outputs = [resize_like(F, y, x, self.align_corners) for y in outputs]
        return tuple(outputs)

    def forward(self, x, *args):
        if isinstance(x, mx.nd.NDArray):
            self.check_size(*x.shape[2:])
            if x.shape[1] != self.in_channels:
                raise UsageError(
                    f"This {type(self).__name__} takes images of {self.in_channels} channels, not "
                    f"{x.shape[1]}; create it with in_channels={x.shape[1]}."
                )
        return tuple(super().forward(x, *args))  # Gluon gives a list when hybridised

    def _build_cache(self, *args):
        with warnings.catch_warnings():
            if self._main_only:  # Gluon would name the auxiliary heads' parameters as unused
                warnings.simplefilter("ignore")
            super()._build_cache(*args)

    @property
    def upsample_outputs(self):
        """Whether outputs are enlarged to the input's size; else they keep the network's own."""
        return self._upsample_outputs

    @upsample_outputs.setter
    def upsample_outputs(self, value):
        self._set_flag("_upsample_outputs", value)

    @property
    def main_only(self):
        """Whether only the main output is computed: inference without the auxiliary heads."""
        return self._main_only

    @main_only.setter
    def main_only(self, value):
        self._set_flag("_main_only", value)

    def _set_flag(self, name, value):
        if getattr(self, name) != bool(value):
            setattr(self, name, bool(value))
            self._clear_cached_op()  # a hybridised graph has the old answer built in

    def valid_size(self, height, width):
        """The smallest size the network takes that holds (height, width)."""
        return valid_size(self, height, width)

    def size_within(self, height, width):
        """The largest size the network takes within (height, width); its smallest if none fits."""
        if self.fixed_size:
            return self.fixed_size
        d, r = self.size_divisor, self.size_remainder
        smallest = self.valid_size(1, 1)
        return tuple(max((v - r) // d * d + r, s) for v, s in zip((height, width), smallest))

    def check_size(self, height, width):
        """Raise UsageError, with the right size, if the network cannot take (height, width)."""
        good = self.valid_size(height, width)
        if (height, width) != good:
            plus = f" plus {self.size_remainder}" if self.size_remainder else ""
            why = (
                f"exactly {good[0]}x{good[1]}"
                if self.fixed_size
                else f"multiples of {self.size_divisor}{plus}, at least {self.min_size}"
            )
            raise UsageError(
                f"{type(self).__name__} cannot take an input of {height}x{width} (height x width): "
                f"it needs {why}. Pad or resize to {good[0]}x{good[1]}."
            )

    def initialize(self, init=None, ctx=None, verbose=False, force_reinit=False):
        """Like Gluon's; by default convolutions start from He's normal distribution."""
        super().initialize(init or default_init(), ctx, verbose, force_reinit)


def valid_size(rules, height, width):
    """The smallest size within some rules that holds (height, width).

    Args:
        rules: has size_divisor, size_remainder, min_size and fixed_size, see SegmentationModel.
    """
    if rules.fixed_size:
        return rules.fixed_size
    d, r = rules.size_divisor, rules.size_remainder
    return tuple(-(-(max(v, rules.min_size) - r) // d) * d + r for v in (height, width))


def default_init():
    """He et al. 2015: keeps the variance through ReLU layers, so that deep networks train."""
    return mx.init.MSRAPrelu(factor_type="in", slope=0)


def register(name):
    """Class decorator: make a network known to ``models.create`` as ``name``."""
    return registry.register(name)


def names():
    """The names of all networks, without those of the published sizes."""
    return registry.names()


def find(name):
    """The class of a network; UsageError with near matches if there is none."""
    if name not in registry.names():
        raise unknown("network", name, [*registry.names(), *PUBLISHED])
    return registry.get(name)
