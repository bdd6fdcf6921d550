"""Where the facts about a data set come from: the catalog, a YAML file, or a folder."""

import functools
import os
from pathlib import Path
from typing import NamedTuple, Optional

import pydantic

from .. import plain_yaml
from ..errors import UsageError
from ..registry import unknown
from .labels import describe
from .schema import ClassSpec, DatasetSpec, LabelForm, Layout, SplitSpec, near

CATALOG = Path(__file__).parent / "catalog"

LISTS = ("list", "form")
"""The options that every data set of files takes."""


def names():
    """The data sets of the catalog."""
    return sorted(path.stem for path in CATALOG.glob("*.yaml"))


class Source(NamedTuple):
    """A data set's facts and where they come from."""

    name: str
    spec: DatasetSpec
    home: Optional[Path]  # the folder that a relative root starts from; None: the catalog


def find(name, **options):
    """The :class:`Source` called ``name``: a catalog entry, a YAML file, or a folder.

    Args:
        **options: those that its YAML declares.

    Raises:
        UsageError: there is no such data set or option, or its YAML is wrong.
    """
    text = str(name)
    # MXNetSeg spells PascalVOC, StanfordBackground ...
    spelled = {key.replace("_", ""): key for key in names()}
    spelled["citycoarse"] = "cityscapes_coarse"
    key = spelled.get(text.lower().replace("_", "").replace("-", ""))
    if key is not None:
        return _from_catalog(key, tuple(sorted((k, str(v)) for k, v in options.items())))
    path = Path(text).expanduser()
    if path.suffix.lower() in (".yaml", ".yml"):
        return Source(path.stem, read_spec(path, options), path.resolve().parent)
    if os.path.isdir(path):
        facts = path / "classes.yaml"
        if not os.path.isfile(facts):
            raise UsageError(
                f"The folder {path} has no classes.yaml; write one with a list 'classes', beside "
                "the folders images/<split> and masks/<split>."
            )
        return Source(path.resolve().name, read_spec(facts, options), path.resolve())
    if "/" in text or "\\" in text:
        raise UsageError(f"There is no folder {text}; give a data set's name, folder or YAML file.")
    error = unknown("data set", text, names())
    raise UsageError(f"{error} For own data give the path of its folder or YAML file.")


@functools.lru_cache(maxsize=None)
def _from_catalog(name, options):
    return Source(name, read_spec(CATALOG / f"{name}.yaml", dict(options)), None)


def info(name, **options):
    """The :class:`~mxnetseg.data.labels.Info` of a catalog entry, a YAML file or a folder."""
    source = find(name, **options)
    return describe(source.name, source.spec)


def read_spec(path, options=None):
    """Read a catalog file or a user's YAML; ``options`` as for :func:`apply_options`."""
    return parse_spec(plain_yaml.read(path), str(path), options)


def parse_spec(content, source, options=None):
    """A :class:`DatasetSpec` from the content of a YAML file; ``source`` names it in errors."""
    if not isinstance(content, dict):
        raise UsageError(f"{source} holds no keys; it needs at least a list 'classes'.")
    try:
        content = apply_options(content, options or {}, content.get("title") or source)
    except (AttributeError, TypeError):
        raise UsageError(f"{source}: 'options' must map option -> value -> keys.") from None
    if content.get("options"):
        content["options"] = {
            name: {str(value): patch or {} for value, patch in values.items()}
            for name, values in content["options"].items()
        }
    content = dict(content)
    # The short form of classes.yaml: names, colours and label values as parallel lists.
    classes = content.get("classes")
    for entry in classes if isinstance(classes, list) else ():
        if not isinstance(entry, (str, dict)):
            raise UsageError(
                f"{source}: YAML reads a class name as {entry!r} (no, yes, on, off and numbers are "
                "not text); put it in quotes."
            )
    for key, field in (("colors", "color"), ("raw_ids", "raw")):
        values = content.pop(key, None)
        if values is None:
            continue
        if not isinstance(classes, list) or len(values) != len(classes):
            raise UsageError(f"{source}: '{key}' must have one entry for each of 'classes'.")
        classes = [{"name": c} if isinstance(c, str) else dict(c) for c in classes]
        for entry, value in zip(classes, values):
            entry[field] = value
    content["classes"] = classes
    if classes is None:
        raise UsageError(f"The key 'classes' is missing in {source}.")
    try:
        return DatasetSpec.model_validate(content)
    except pydantic.ValidationError as error:
        raise UsageError(_explain(error, source)) from None


def apply_options(content, options, title):
    """The content of a YAML file with the keys that its options replace.

    Args:
        options: mapping name -> value; the others have their default.

    Raises:
        UsageError: an unknown option or value.
    """
    declared = content.get("options") or {}
    for name in options:
        if name not in declared:
            known = [*declared, *LISTS]
            raise unknown(f"option of {title}", name, known)
    content = dict(content)
    for name, values in declared.items():
        choices = {str(value): patch for value, patch in values.items()}
        chosen = str(options.get(name, next(iter(choices), None)))
        if chosen not in choices:
            raise unknown(f"value of the option '{name}' of {title}", chosen, choices)
        for key, value in (choices[chosen] or {}).items():
            merged = key in ("splits", "forms") and key in content
            content[key] = {**content[key], **value} if merged else value
    return content


_KEYS = {"classes": ClassSpec, "splits": SplitSpec, "layouts": Layout, "forms": LabelForm}


def _explain(error, source):
    """One sentence about the first problem that pydantic found."""
    first = error.errors()[0]
    place = [
        part for part in first["loc"] if not str(part).startswith(("function-", "list[", "tuple["))
    ]
    where = ".".join(str(part) for part in place)
    if first["type"] == "extra_forbidden":
        model = _KEYS.get(place[0], DatasetSpec) if len(place) > 1 else DatasetSpec
        return f"Unknown key '{where}' in {source}: {near(place[-1], list(model.model_fields))}"
    if first["type"] == "missing":
        return f"The key '{where}' is missing in {source}."
    message = first["msg"].replace("Value error, ", "")
    return f"{source}: {where + ': ' if where else ''}{message}."
