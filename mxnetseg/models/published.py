"""Published sizes have names: ``pidnet_m`` is ``pidnet`` with ``variant="M"``."""

from ..errors import UsageError

PUBLISHED = {
    "bisenet_r18": ("bisenet", {"backbone": "resnet18"}),
    "bisenet_x39": ("bisenet", {"backbone": "xception39"}),
    "eprnet_light": ("eprnet", {"light": True}),
    "mlms_baseline_dilated": (
        "mlms_baseline",
        {"backbone_options": {"atrous3": True, "atrous4": True}},
    ),
    "mlmsnet_s": ("mlmsnet", {"variant": "S"}),
    "mlmsnet_l": ("mlmsnet", {"variant": "L"}),
    "mlmsnet_v2_s": ("mlmsnet_v2", {"variant": "S"}),
    "mlmsnet_v2_l": ("mlmsnet_v2", {"variant": "L"}),
    "pidnet_s": ("pidnet", {"variant": "S"}),
    "pidnet_m": ("pidnet", {"variant": "M"}),
    "pidnet_l": ("pidnet", {"variant": "L"}),
    "psanet50": ("psanet", {"backbone": "resnet50_semseg"}),
    "psanet101": ("psanet", {"backbone": "resnet101_semseg"}),
    "pspnet50_semseg": ("pspnet_semseg", {"backbone": "resnet50_semseg"}),
    "pspnet101_semseg": ("pspnet_semseg", {"backbone": "resnet101_semseg"}),
    "sanet_s": ("sanet", {"variant": "S"}),
    "sanet_m": ("sanet", {"variant": "M"}),
    "sanet_l": ("sanet", {"variant": "L"}),
    "setr_naive": ("setr", {"decoder": "naive"}),
    "setr_pup": ("setr", {"decoder": "pup"}),
    "setr_mla": ("setr", {"decoder": "mla"}),
}
"""Name -> (network, the arguments of ``models.create`` that make it)."""


def resolve(name, options=None):
    """(network, all options) of a network's name or of a published size's.

    Raises:
        UsageError: an option contradicts the name: ``pidnet_m`` with variant S.
    """
    network, own = PUBLISHED.get(str(name).lower(), (str(name).lower(), {}))
    options = dict(options or {})
    for key, value in own.items():
        asked = options.get(key, value)
        if isinstance(value, dict):
            asked = {**value, **asked}
        elif str(asked).lower() == str(value).lower():
            asked = value
        if not _fits(asked, value):
            raise UsageError(
                f"'{name}' is {network} with {key} {value}, not {asked}. Name one of them only."
            )
        options[key] = asked
    return network, options


def _fits(asked, value):
    return asked.items() >= value.items() if isinstance(value, dict) else asked == value
