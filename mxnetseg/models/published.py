"""Published sizes have names: ``pidnet_m`` is ``pidnet`` with ``variant="M"``."""

from ..errors import UsageError

PUBLISHED = {
    "mlmsnet_s": ("mlmsnet", {"variant": "S"}),
    "mlmsnet_l": ("mlmsnet", {"variant": "L"}),
    "mlmsnet_v2_s": ("mlmsnet_v2", {"variant": "S"}),
    "mlmsnet_v2_l": ("mlmsnet_v2", {"variant": "L"}),
    "pidnet_s": ("pidnet", {"variant": "S"}),
    "pidnet_m": ("pidnet", {"variant": "M"}),
    "pidnet_l": ("pidnet", {"variant": "L"}),
    "sanet_s": ("sanet", {"variant": "S"}),
    "sanet_m": ("sanet", {"variant": "M"}),
    "sanet_l": ("sanet", {"variant": "L"}),
    "setr_naive": ("setr", {"decoder": "naive"}),
    "setr_pup": ("setr", {"decoder": "pup"}),
    "setr_mla": ("setr", {"decoder": "mla"}),
}
"""Name -> (network, its options)."""


def resolve(name, options=None):
    """(network, all options) of a network's name or of a published size's.

    Raises:
        UsageError: an option contradicts the name: ``pidnet_m`` with variant S.
    """
    network, own = PUBLISHED.get(str(name).lower(), (str(name).lower(), {}))
    for key, value in own.items():
        asked = (options or {}).get(key, value)
        if str(asked).lower() != str(value).lower():
            raise UsageError(
                f"'{name}' is {network} with {key} {value}, not {asked}. Name one of them only."
            )
    return network, {**(options or {}), **own}
