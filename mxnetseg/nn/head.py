"""Classifier heads."""

from mxnet.gluon import nn

from .activation import relu
from .conv import ConvUnit, conv2d, conv_unit, sequential
from .norm import norm_layer


class FCNHead(nn.HybridBlock):
    """3 x 3 unit, dropout, 1 x 1 to the classes: (N, C, H, W) -> logits (N, num_classes, H, W).

    Args:
        width: channels between the two; by default 256, or ``in_channels`` where that is less.
        dropout: probability, element-wise; 0 removes it.
        kernel: of the first convolution; 1 makes the light head of SwiftNetPR.
        act: activation of the first convolution.
    """

    def __init__(self, in_channels, num_classes, width=None, dropout=0.1, kernel=3, act="relu"):
        super().__init__()
        width = width or min(in_channels, 256)
        self.conv1 = ConvUnit(in_channels, width, kernel, act=act)
        self.drop = nn.Dropout(dropout) if dropout else None
        self.conv2 = conv2d(width, num_classes)

    def hybrid_forward(self, F, x):
        x = self.conv1(x)
        return self.conv2(x if self.drop is None else self.drop(x))


def sequential_head(in_channels, width, num_classes, dropout=0.1):
    """A 3 x 3 unit, dropout of whole channels, 1 x 1 to the classes (semseg, MLMSNet)."""
    return sequential(
        *conv_unit(in_channels, width, 3),
        nn.Dropout(dropout, axes=(2, 3)),
        conv2d(width, num_classes),
    )


class PreActHead(nn.HybridBlock):
    """Norm, ReLU, 3 x 3 convolution, norm, ReLU, 1 x 1 to the classes (SANet, PIDNet)."""

    def __init__(self, in_channels, width, num_classes):
        super().__init__()
        self.bn1 = norm_layer(in_channels)
        self.conv1 = conv2d(in_channels, width, 3, bias=False)
        self.bn2 = norm_layer(width)
        self.conv2 = conv2d(width, num_classes)

    def hybrid_forward(self, F, x):
        x = self.conv1(relu(F, self.bn1(x)))
        return self.conv2(relu(F, self.bn2(x)))
