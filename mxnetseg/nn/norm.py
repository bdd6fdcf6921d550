"""Normalisation."""

from mxnet.gluon import nn


class BatchNorm(nn.BatchNorm):
    """Batch norm over (N, C, H, W): epsilon 1e-5, running statistics with momentum 0.9."""

    def __init__(self, channels, epsilon=1e-5, momentum=0.9):
        super().__init__(in_channels=channels, epsilon=epsilon, momentum=momentum)
