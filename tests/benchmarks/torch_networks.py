"""The benchmarks' networks in PyTorch, eager, all cores: FCN on ResNet-18 and ResNet-50 (v1s)."""

import torch
from torch import nn
from torch.nn import functional as F

from mxnetseg.runtime import usable_cores

from .network import FORWARD, STEP
from .timing import best


def _unit(i, o, kernel=1, stride=1, dilation=1, relu=True):
    layers = [
        nn.Conv2d(i, o, kernel, stride, dilation * (kernel // 2), dilation, bias=False),
        nn.BatchNorm2d(o),
    ]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))


class Block(nn.Module):
    def __init__(self, i, width, stride, dilation, bottleneck):
        super().__init__()
        o = width * (4 if bottleneck else 1)
        if bottleneck:
            self.body = nn.Sequential(
                _unit(i, width), _unit(width, width, 3, stride, dilation),
                _unit(width, o, relu=False),
            )  # fmt: skip
        else:
            self.body = nn.Sequential(
                _unit(i, width, 3, stride, dilation), _unit(width, o, 3, relu=False)
            )
        self.down = _unit(i, o, 1, stride, relu=False) if stride > 1 or i != o else nn.Identity()

    def forward(self, x):
        return F.relu(self.body(x) + self.down(x))


class FCN(nn.Module):
    def __init__(self, classes, depths, bottleneck, dilate):
        super().__init__()
        if bottleneck:
            self.stem = nn.Sequential(_unit(3, 64, 3, 2), _unit(64, 64, 3), _unit(64, 128, 3))
        else:
            self.stem = _unit(3, 64, 7, 2)
        i = 128 if bottleneck else 64
        stages = []
        for k, depth in enumerate(depths):
            stride = 1 if k == 0 or (dilate and k > 1) else 2
            for j in range(depth):
                dilation = {2: 2, 3: 4}.get(k, 1) if dilate else 1
                if j == 0 and dilate and k > 1:
                    dilation //= 2
                stages.append(Block(i, 64 * 2**k, stride if j == 0 else 1, dilation, bottleneck))
                i = 64 * 2**k * (4 if bottleneck else 1)
            if k == 2:
                self.c3 = len(stages)
        self.stages = nn.ModuleList(stages)
        self.head, self.aux = self._head(i, classes), self._head(i // 2, classes)

    @staticmethod
    def _head(i, classes):
        width = min(i, 256)
        return nn.Sequential(_unit(i, width, 3), nn.Dropout(0.1), nn.Conv2d(width, classes, 1))

    def forward(self, x):
        size = x.shape[2:]
        x = F.max_pool2d(self.stem(x), 3, 2, 1)
        for k, stage in enumerate(self.stages):
            x = stage(x)
            if k + 1 == self.c3:
                aux = x
        maps = [self.head(x)] + ([self.aux(aux)] if self.training else [])
        return [F.interpolate(y, size, mode="bilinear", align_corners=True) for y in maps]


def torch_forward():
    torch.set_num_threads(usable_cores())
    net = FCN(19, (3, 4, 6, 3), bottleneck=True, dilate=True).eval()
    x = torch.randn(1, 3, *FORWARD)
    with torch.no_grad():
        return best(lambda: net(x), repeat=4)


def torch_step():
    torch.set_num_threads(usable_cores())
    n, h, w = STEP
    net = FCN(11, (2, 2, 2, 2), bottleneck=False, dilate=False).train()
    optimizer = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9)
    x, y = torch.randn(n, 3, h, w), torch.randint(0, 11, (n, h, w))

    def step():
        optimizer.zero_grad()
        sum(F.cross_entropy(out, y) for out in net(x)).backward()
        optimizer.step()

    return best(step, repeat=4)
