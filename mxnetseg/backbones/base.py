"""The contract of a backbone: images -> four feature maps, and the table of all backbones."""

from mxnet.gluon import nn

from ..errors import UsageError
from ..nn import use_norm, used_norm
from ..registry import Registry, check_options

registry = Registry("backbone")


class Backbone(nn.HybridBlock):
    """Images (N, 3, H, W) -> maps (c1, c2, c3, c4), fine to coarse.

    Attributes:
        channels: channels of the maps. strides: H / their height, fine to coarse.
        output_stride: the last of ``strides``.
        name, options: what :func:`create` was asked for, besides the output stride and the norm.
        norm: what its norms are, see ``models.create``.
        min_size: the smallest height and width it takes.
        rounds_up: whether a map has H / stride rows rounded up; else some steps round down.
        min_batch: images per device below which training makes no sense (batch norm over one
            value).

    Parameter names below the backbone are those of the code base it comes from, so that its
    checkpoints load by name.
    """

    name = None
    options = None
    norm = "batch"
    channels = ()
    strides = (4, 8, 16, 32)
    min_size = 1
    rounds_up = True
    min_batch = 1

    @property
    def output_stride(self):
        return self.strides[-1]

    def adapted(self, entries):
        """A classifier's weights (name -> NDArray) as this backbone wants them."""
        return entries


def stage_plan(output_stride):
    """[(stride, dilation of the first block, dilation of the others)] of stages 2, 3 and 4.

    Beyond ``output_stride`` a stage keeps its size and dilates instead; its first block still has
    the dilation of the stage before (GluonCV's rule).
    """
    if output_stride not in (8, 16, 32):
        raise UsageError(f"output_stride must be 8, 16 or 32, not {output_stride}.")
    plan, reached, dilation = [], 4, 1
    for _ in range(3):
        if reached < output_stride:
            reached *= 2
            plan.append((2, 1, 1))
        else:
            plan.append((1, dilation, 2 * dilation))
            dilation *= 2
    return plan


def stage_strides(output_stride):
    """Strides of c1 ... c4: (4, 8, 8, 8) for output stride 8."""
    return tuple(min(s, output_stride) for s in (4, 8, 16, 32))


def create(name, output_stride=None, norm=None, **options):
    """A backbone by name, not yet initialised.

    Args:
        output_stride: 8, 16 or 32, where the backbone has the choice; its own default if None.
        norm: "batch", "sync_batch" or "group", see ``models.create``. None: as
            ``nn.use_norm`` says around this, and elsewhere "batch".

    Raises:
        UsageError: unknown name or option (with near matches), or an impossible output stride.
    """
    factory = registry.get(name)
    stride = {} if output_stride is None else {"output_stride": output_stride}
    check_options(f"backbone '{name}'", factory, {**options, **stride})
    with use_norm(norm or used_norm()):
        backbone = factory(**options, **stride)
        backbone.norm = used_norm()
    backbone.name, backbone.options = str(name).lower(), options
    return backbone


def names():
    """The names of all backbones."""
    return registry.names()
