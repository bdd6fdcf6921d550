"""Single modules of PMSDSEN, under the names that they have inside the whole network.

``build["part"]`` is the module's name ("DWFF4", "layer2.0", "MSSE_" ...); the other options are
PMSDSEN's. Its gates saturate inside the whole network with random weights; on their own they show.
"""

from ..errors import UsageError
from ..models.pmsdsen import DownBlock, WeightedFusion
from ..nn import TwoGraphBlock
from . import pmsdsen, pytorch


class Part(TwoGraphBlock):
    """(N, C, H, W) -> what the module makes of it; a fusion gets one half of the channels each."""

    def __init__(self, module):
        super().__init__()
        self.part = module
        self._halves = isinstance(module, WeightedFusion)

    def hybrid_forward(self, F, x):
        if self._halves:
            return self.part(*F.split(x, num_outputs=2, axis=1))
        return self.part(x)


def create(build):
    """The module ``build["part"]`` of our PMSDSEN."""
    options = {k: v for k, v in build.items() if k != "part"}
    if "part" not in build:
        raise UsageError("The build options lack 'part', the module's name.")
    module = pmsdsen.create(options)
    for name in str(build["part"]).split("."):
        if name not in module._children:
            raise UsageError(
                f"PMSDSEN has no module '{build['part']}': '{name}' is none of "
                f"{', '.join(module._children)}."
            )
        module = module._children[name]
    if isinstance(module, DownBlock):
        raise UsageError(f"Module '{build['part']}' takes features and an image, not one tensor.")
    return Part(module)


def original_names(net, build):
    """{our name: PMSDSEN's}."""
    prefix = f"{build['part']}."
    return {
        ours: prefix + theirs[len("part.") :]
        for ours, theirs in pytorch.original_names(net).items()
    }


def renamed(net, build, state):
    """As in the whole network: slopes (act_name prelu) whose names the card does not give."""
    return pmsdsen.slopes_by_place(set(original_names(net, build).values()), state)


def unused(build, names):
    """Nothing but the counters."""
    return pytorch.counters(names)
