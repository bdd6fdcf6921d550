"""The experiment: one typed schema, filled from YAML, flags and dotted overrides."""

from typing import Any, Dict, List, Literal, Optional, Tuple, Union

import pydantic
import yaml
from pydantic import Field

from . import plain_yaml
from .errors import UsageError
from .registry import unknown

Size = Union[int, Tuple[int, int]]
DATA_PATHS = ("data.root", "data.cache_folder")
PATHS = (*DATA_PATHS, "model.weights", "model.backbone_weights")
"""Settings that are paths: they mean something on one machine alone. Those of the data change no
result."""

CLASS_WEIGHT_RULES = ("auto:median", "auto:enet", "auto:inverse_log")


def _size(value):
    sides = value if isinstance(value, (list, tuple)) and len(value) == 2 else [value]
    if value is not None and not all(type(side) is int and side > 0 for side in sides):
        raise ValueError("it is a side, or [height, width], of 1 pixel or more")
    return value


class Section(pydantic.BaseModel):
    """Part of the experiment; refuses keys that it does not know."""

    model_config = pydantic.ConfigDict(
        extra="forbid", validate_assignment=True, protected_namespaces=(), allow_inf_nan=False
    )


class Model(Section):
    """The network."""

    name: str = Field("fcn", description="network, see `mxnetseg models`")
    backbone: Optional[str] = Field(None, description="null: the network's own default")
    output_stride: Optional[Literal[8, 16, 32]] = Field(
        None, description="of the backbone; null: the network's own default"
    )
    aux: Optional[bool] = Field(None, description="auxiliary heads; null: as the network has it")
    norm: Literal["batch", "sync_batch", "group"] = Field(
        "batch", description="sync_batch: over the images of all devices"
    )
    options: Dict[str, Any] = Field({}, description="further options of the network")
    weights: Optional[str] = Field(None, description="checkpoint to start from")
    weights_strict: bool = Field(
        True, description="false: of weights take what fits by name and shape, and list the rest"
    )
    backbone_weights: Optional[str] = Field(
        None, description="'imagenet' (GluonCV's, downloaded) or a file for the backbone alone"
    )


class Data(Section):
    """What to train and to validate on."""

    name: str = Field("synthetic", description="a data set's name, a folder or a YAML file")
    root: Optional[str] = Field(
        None, description="its folder; null: $MXNETSEG_DATA/<Name>, then datasets/<Name>"
    )
    train_split: str = Field("train", description="the split to train on")
    val_split: str = Field("val", description="the split to validate on")
    options: Dict[str, Any] = Field({}, description="further options of the data set")
    workers: int = Field(2, ge=0, description="that load images; 0: the training itself does")
    worker_mode: Literal["thread", "process"] = Field(
        "thread", description="process: where many cores wait for Python"
    )
    cache_memory: float = Field(0.0, ge=0, description="GB of decoded training images to keep")
    cache_folder: Optional[str] = Field(
        None, description="where decoded training images are kept on disk, uncompressed"
    )
    reduced_jpeg: bool = Field(
        False, description="decode JPEG at 1/2, 1/4 or 1/8 where training shrinks it by as much"
    )
    sampling: Literal["uniform", "rare"] = Field(
        "uniform", description="rare: images with rare classes come more often"
    )
    rare_temperature: float = Field(
        0.01, gt=0, description="of sampling: rare; the smaller, the rarer the preferred classes"
    )


class Augment(Section):
    """The training transform."""

    preset: str = Field("mxnetseg", description="whose transform: mxnetseg, semseg, sanet, pmsdsen")
    base_size: Optional[int] = Field(
        None, ge=1, description="long side that scale 1 means; null: the data set's own"
    )
    options: Dict[str, Any] = Field(
        {}, description="further options of the preset: scale, flip ..."
    )


class Train(Section):
    """The run."""

    epochs: int = Field(50, ge=1, description="passes over the training images")
    batch_size: int = Field(8, ge=1, description="images, of all devices together")
    accumulate: int = Field(
        1,
        ge=1,
        description="batches that make one step: that of one batch so many times as large. "
        "Batch norm, and the choice of hard pixels, see a batch alone",
    )
    keep_last: bool = Field(
        False,
        description="an epoch's last batch is trained on though it is smaller; on one device alone",
    )
    crop_size: Optional[Size] = Field(
        None, description="a side or (height, width) in pixels; null: the data set's own"
    )
    seed: int = Field(
        0, ge=0, le=2**31 - 1, description="of weights, order of images and augmentation"
    )
    validate_every: int = Field(1, ge=0, description="epochs; 0: never")
    log_interval: int = Field(10, ge=1, description="steps")
    freeze_bn: bool = Field(False, description="batch norm uses its running statistics")
    freeze: List[str] = Field(
        [],
        description="patterns of parameters that stay as they are: backbone.*, *.gamma, *.beta; "
        "*.running_*: norms use their running statistics",
    )
    precision: Literal["float32", "float16", "bfloat16"] = Field(
        "float32",
        description="of convolutions and what follows them: float16 on GPUs, bfloat16 on CPUs with "
        "AVX-512; parameters, loss and validation stay in float32",
    )
    clip_norm: Optional[float] = Field(
        None, gt=0, description="largest norm of the gradients of all parameters together"
    )
    ema: Optional[float] = Field(
        None, gt=0, lt=1, description="decay of an average of the weights: validated and saved"
    )
    validate_last: int = Field(0, ge=0, description="validate after each of the last epochs")
    save_minutes: float = Field(
        10, ge=0, description="last.params is written so often within an epoch, too; 0: never"
    )
    keep_every: int = Field(0, ge=0, description="epochs; keep the checkpoint of each; 0: none")
    stop_after: Optional[int] = Field(
        None, ge=1, description="epochs; ends the run there, with the schedule of all epochs"
    )

    @pydantic.field_validator("crop_size", mode="before")
    @classmethod
    def _side_or_pair(cls, value):
        return _size(value)


class Optim(Section):
    """Optimiser and learning rate."""

    name: Literal["sgd", "nag", "adam", "adamw"] = Field("sgd", description="the rule of the step")
    lr: float = Field(0.01, gt=0, description="learning rate at its highest")
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd and nag")
    betas: Tuple[float, float] = Field((0.9, 0.999), description="of adam and adamw")
    weight_decay: float = Field(1e-4, ge=0, description="times the weights, added to gradients")
    decay_norm_and_bias: bool = Field(True, description="weight decay on norms and biases too")
    head_lr_factor: float = Field(1.0, gt=0, description="times lr, for all but the backbone")
    rates: Dict[str, float] = Field(
        {}, description="{pattern of parameter names: times lr}; the last that fits counts"
    )
    decays: Dict[str, float] = Field({}, description="{pattern: times weight_decay}")
    schedule: Literal["poly", "cosine", "step", "linear", "constant", "cyclic", "one_cycle"] = (
        Field("poly", description="how the rate changes from step to step")
    )
    power: float = Field(0.9, gt=0, description="of poly")
    step_epochs: List[float] = Field([], description="epochs at which step and cyclic cut the rate")
    step_factor: float = Field(
        0.1, gt=0, lt=1, description="what each of step_epochs multiplies by"
    )
    cycle_epochs: int = Field(
        5, ge=1, description="of cyclic; so many times lr is its highest rate"
    )
    rise: float = Field(0.3, gt=0, lt=1, description="of one_cycle, the share of steps up to lr")
    final_lr: float = Field(0.0, ge=0, description="where poly, cosine, linear and one_cycle end")
    warmup_epochs: float = Field(0.0, ge=0, description="epochs of a linear rise to lr")
    warmup_factor: float = Field(0.1, ge=0, le=1, description="times lr, at the first step")
    warmup_first: bool = Field(
        False,
        description="poly, cosine, linear and one_cycle begin when warm-up is over; else they run "
        "over all steps, and warm-up scales their first rates",
    )

    @pydantic.field_validator("betas")
    @classmethod
    def _below_one(cls, value):
        if not all(0 <= beta < 1 for beta in value):
            raise ValueError("both are at least 0 and below 1")
        return value


class Loss(Section):
    """The loss."""

    name: Union[str, List[Tuple[str, float]]] = Field(
        "cross_entropy", description="see docs/losses.md; or [[loss, weight], ...]: a sum"
    )
    aux_weights: Optional[List[float]] = Field(None, description="null: the network's own")
    class_weights: Optional[Union[List[float], str]] = Field(
        None, description="one number per class, or auto:median, auto:enet, auto:inverse_log"
    )
    per: Literal["batch", "device"] = Field(
        "batch", description="device: the mean of the devices' own losses"
    )
    options: Dict[str, Any] = Field(
        {}, description="of the loss: threshold ...; of a sum {loss: {option: value}}"
    )

    @pydantic.field_validator("name", mode="before")
    @classmethod
    def _name_or_sum(cls, value):
        pairs = isinstance(value, (list, tuple)) and all(
            isinstance(part, (list, tuple))
            and [type(v) for v in part] in ([str, int], [str, float])
            for part in value
        )
        if not (isinstance(value, str) or pairs):
            raise ValueError("it is the name of a loss, or a list of [name, weight] for a sum")
        return value

    @pydantic.field_validator("class_weights")
    @classmethod
    def _known_rule(cls, value):
        if isinstance(value, str) and value not in CLASS_WEIGHT_RULES:
            rules = ", ".join(CLASS_WEIGHT_RULES)
            raise ValueError(f"it is a list with one number per class, or one of {rules}")
        return value


class Eval(Section):
    """How images are scored. null: as the protocol has it."""

    protocol: Optional[Literal["mxnetseg", "semseg", "mlmsnet", "pidnet", "sanet", "pmsdsen"]] = (
        Field(None, description="the evaluation of an original; the other keys change it")
    )
    mode: Optional[Literal["whole", "slide"]] = Field(
        None, description="the whole image or windows; null: the protocol's, or whole"
    )
    crop_size: Optional[Size] = Field(
        None, description="of slide; null: the protocol's, or train.crop_size"
    )
    stride: Optional[Size] = Field(None, description="of slide; null: two thirds of the crop")
    scales: Optional[List[float]] = Field(
        None, min_length=1, description="whose scores are averaged; null: 1"
    )
    flip: Optional[bool] = Field(None, description="mirrored images too; null: no")
    merge: Optional[Literal["prob", "exp", "exp_mean", "logits"]] = Field(
        None,
        description="what is averaged: probabilities, exponentials of the logits (of the sum or "
        "the mean of mirror images), or logits; null: prob",
    )
    base_size: Optional[int] = Field(
        None, ge=1, description="long side at scale 1; null: the image's"
    )
    windows: Optional[Literal["shift", "pad"]] = Field(
        None, description="the last windows of slide; null: shift"
    )

    @pydantic.field_validator("crop_size", "stride", mode="before")
    @classmethod
    def _side_or_pair(cls, value):
        return _size(value)


class Log(Section):
    """Where the numbers go besides log.jsonl."""

    wandb: Optional[str] = Field(None, description="project of Weights & Biases")
    train_miou: bool = Field(
        False, description="mIoU of the training batches too, counted on the host"
    )
    tensorboard: bool = Field(False, description="events in the run's folder, for TensorBoard")


class Experiment(Section):
    """Everything that decides what a run does."""

    model: Model = Field(default_factory=Model)
    data: Data = Field(default_factory=Data)
    augment: Augment = Field(default_factory=Augment)
    train: Train = Field(default_factory=Train)
    optim: Optim = Field(default_factory=Optim)
    loss: Loss = Field(default_factory=Loss)
    eval: Eval = Field(default_factory=Eval)
    log: Log = Field(default_factory=Log)


def build(*layers, file=None):
    """The experiment: defaults, under a YAML file, under ``layers`` of {dotted key: value}.

    Raises:
        UsageError: unknown keys (with near matches), impossible values, an unreadable file.
    """
    tree = _read(file) if file else {}
    for layer in layers:
        for key, value in layer.items():
            put(tree, key, value)
    return parse(tree)


def parse(tree):
    """The experiment of nested mappings."""
    try:
        return Experiment(**tree)
    except TypeError:
        raise UsageError(
            "A configuration is a mapping of sections: model, data, train ..."
        ) from None
    except pydantic.ValidationError as error:
        raise _explain(error.errors()[0]) from None


def overrides(texts):
    """["train.epochs=5", ...] -> {"train.epochs": 5, ...}; values are read as YAML."""
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set takes key=value, for example train.epochs=5, not '{text}'.")
        found[key.strip()] = plain_yaml.parse(value, f"The value of --set {text}")
    return found


def to_yaml(experiment):
    """The resolved experiment as YAML text."""
    tree = experiment.model_dump(mode="json")
    return yaml.safe_dump(tree, sort_keys=False, default_flow_style=None)


def pair(size):
    """(height, width) of a size that is given as a side or a pair."""
    return (size, size) if isinstance(size, int) else tuple(size)


def _read(file):
    tree = plain_yaml.read(file, "The configuration ")
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise UsageError(
            f"The configuration {file} is not a mapping of sections (model, data ...)."
        )
    return tree


def put(tree, key, value):
    *sections, leaf = key.split(".")
    for section in sections:
        child = tree.setdefault(section, {})
        if not isinstance(child, dict):
            raise UsageError(f"'{key}': '{section}' is a value, not a section.")
        tree = child
    tree[leaf] = value


def _explain(problem):
    """A UsageError for one of pydantic's findings."""
    path = [str(p) for p in problem["loc"]]
    if problem["type"] != "extra_forbidden":
        while len(path) > 1 and path[-1] not in _fields(path[:-1]):
            path.pop()  # pydantic adds the member of a union that it tried
    key = ".".join(path)
    if problem["type"] == "extra_forbidden":
        return unknown("key", key, _siblings(path))
    given = problem.get("input")
    if problem["type"] == "model_type":
        return UsageError(
            f"'{key}' is a section with keys ({', '.join(_fields(path))}), not a value."
        )
    message = problem["msg"].replace("Value error, ", "")
    return UsageError(f"{key} cannot be {_short(given)}: {message[0].lower()}{message[1:]}.")


def _short(value):
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:60]} ..."


def _fields(path):
    section = Experiment
    for name in path:
        fields = getattr(section, "model_fields", {})
        if name not in fields:
            return []
        section = fields[name].annotation
    return list(getattr(section, "model_fields", ()))


def _siblings(path):
    if len(path) > 1:
        return [".".join([*path[:-1], name]) for name in _fields(path[:-1])]
    # a key at the top level may be one that belongs into a section: epochs -> train.epochs
    dotted = [f"{s}.{k}" for s in Experiment.model_fields for k in _fields([s])]
    inside = [d for d in dotted if d.endswith("." + path[0])]
    return inside or [*Experiment.model_fields, *dotted]
