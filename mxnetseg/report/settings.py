"""Settings that differ: from the defaults, and between runs."""

from .. import config


def table(experiments):
    """What runs set otherwise than by default.

    Args:
        experiments: nested mappings, one for each run; {} where nothing is known.

    Returns:
        [{"key": "train.epochs", "values": [text of each run], "default": text, "differ": bool}],
        in the order of the configuration.
    """
    defaults = flat(config.Experiment().model_dump(mode="json"))
    given = [flat(e) for e in experiments]
    keys = [*defaults, *dict.fromkeys(k for tree in given for k in tree if k not in defaults)]
    rows = []
    for key in keys:
        default = defaults.get(key)
        values = [tree.get(key, default) if tree else default for tree in given]
        if any(value != default for value in values):
            texts = [text(value) for value in values]
            rows.append(
                {
                    "key": key,
                    "values": texts,
                    "default": text(default),
                    "differ": len(set(texts)) > 1,
                }
            )
    return rows


def flat(tree):
    """{"section.key": value} of the sections of an experiment."""
    return {
        f"{section}.{key}": value
        for section, values in tree.items()
        if isinstance(values, dict)
        for key, value in values.items()
    }


def text(value):
    """A setting as people write it."""
    if value is None or value in ({}, []):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(text(v) for v in value)
    if isinstance(value, dict):
        return ", ".join(f"{k} {text(v)}" for k, v in value.items())
    return str(value)
