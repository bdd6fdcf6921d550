"""ResNet 50, 101 and 152 of semseg, with its parameter names.

He et al., Deep Residual Learning for Image Recognition, CVPR 2016; as in hszhao/semseg: a stem of
three 3 x 3 convolutions, 64-64-128, and dilation in *every* block of a stage that keeps its size
(in "resnet50" ... the first block keeps the dilation of the stage before).
"""

from mxnet.gluon import nn

from ..nn import TwoGraphBlock, global_pool, norm_layer, sequential, unbiased_variance
from .base import Backbone, registry, stage_plan, stage_strides
from .resnet import Bottleneck, deep_stem

DEPTHS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
STEM_WIDTH = 64


class SemsegResNet(Backbone):
    """``layer0`` is the stem with its max-pool; channels 256, 512, 1024, 2048."""

    channels = (256, 512, 1024, 2048)

    def __init__(self, layers, output_stride=32):
        super().__init__()
        self.strides = stage_strides(output_stride)
        channels = 2 * STEM_WIDTH
        self.layer0 = deep_stem(STEM_WIDTH)
        self.layer0.add(norm_layer(channels), nn.Activation("relu"), nn.MaxPool2D(3, 2, 1))
        plan = [(1, 1, 1), *stage_plan(output_stride)]
        for i, (depth, (stride, _, dilation)) in enumerate(zip(DEPTHS[layers], plan)):
            blocks = []
            for j in range(depth):
                width, step = 64 * 2**i, stride if j == 0 else 1
                blocks.append(Bottleneck(channels, width, step, dilation, dilation))
                channels = self.channels[i]
            setattr(self, f"layer{i + 1}", sequential(*blocks))

    def hybrid_forward(self, F, x):
        c1 = self.layer1(self.layer0(x))
        c2 = self.layer2(c1)
        c3 = self.layer3(c2)
        return c1, c2, c3, self.layer4(c3)


class SemsegResNetClassifier(TwoGraphBlock):
    """Images (N, 3, H, W) -> scores (N, num_classes): the backbone and its ImageNet tail."""

    def __init__(self, layers, num_classes=1000):
        super().__init__()
        self.backbone = SemsegResNet(layers)
        self.fc = nn.Dense(num_classes, in_units=self.backbone.channels[-1])
        unbiased_variance(self)

    def hybrid_forward(self, F, x):
        return self.fc(global_pool(F, self.backbone(x)[-1]))


def _add(layers):
    @registry.register(f"resnet{layers}_semseg")
    def factory(output_stride=32):
        return SemsegResNet(layers, output_stride)


for _layers in DEPTHS:
    _add(_layers)
