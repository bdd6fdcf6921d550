"""The parts of an experiment: its data, network, sizes, batches."""

from . import checkpoint, config, data, models, progress
from .convert import pretrained
from .errors import UsageError
from .nn import synchronised


def dataset(experiment, split):
    """The data set of an experiment."""
    section = experiment.data
    return data.create(section.name, split, section.root, **section.options)


def validation_set(experiment):
    """The data set to validate on; UsageError if there is none."""
    try:
        return dataset(experiment, experiment.data.val_split)
    except UsageError as error:
        raise UsageError(
            f"{error} Name the split to validate on with --set data.val_split=..., or train with "
            "--no-val."
        ) from None


def create_network(model, num_classes, in_channels=3, initialize=True):
    """The network of an experiment's model section, with random weights unless told otherwise."""
    chosen = {"backbone": model.backbone, "output_stride": model.output_stride, "aux": model.aux}
    chosen = {k: v for k, v in chosen.items() if v is not None}
    if in_channels != 3:
        chosen["in_channels"] = in_channels
    chosen.update(norm=model.norm, initialize=initialize)
    return models.create(model.name, num_classes, **model.options, **chosen)


def with_sizes(experiment, train_set, net):
    """The experiment with the sizes that it leaves open: those of the preset for these images.

    The crop is rounded down to what the network takes.
    """
    experiment = experiment.model_copy(deep=True)
    augment, run = experiment.augment, experiment.train
    if augment.base_size is not None and run.crop_size is not None:
        return experiment
    height, width = train_set[0].image.shape[:2]
    base, crop = data.presets.default_sizes(augment.preset, train_set.info.name, height, width)
    if augment.base_size is None:
        augment.base_size = base
    if run.crop_size is None:
        run.crop_size = net.size_within(*crop)
    return experiment


def transform(experiment, info, boundary=False):
    """The training transform of an experiment whose sizes are resolved.

    Args:
        boundary: whether it makes boundary maps as well.
    """
    fill = tuple(int(255 * m + 0.5) for m in info.mean)  # 0 after normalisation
    options = {"mirror": info.mirror, "fill": fill, **experiment.augment.options}
    for name, key in (("crop_size", "train.crop_size"), ("base_size", "augment.base_size")):
        if name in options:
            raise UsageError(f"'{name}' is no option of augment.options: use {key}.")
    if "boundary" in options:
        raise UsageError(
            "'boundary' is no option of augment.options: it follows from the network. What the "
            "boundary maps are made from is boundary_from."
        )
    sizes = {"crop_size": experiment.train.crop_size, "base_size": experiment.augment.base_size}
    return data.presets.create(
        experiment.augment.preset, info.name, boundary=boundary, **sizes, **options
    )


def with_class_weights(experiment, train_set):
    """The experiment with numbers for ``auto:<rule>``, so that a resumed run has the same."""
    chosen = experiment.loss.class_weights
    if not isinstance(chosen, str):
        return experiment
    experiment = experiment.model_copy(deep=True)
    counts = _measured(train_set).counts
    experiment.loss.class_weights = data.stats.class_weights(counts, chosen.split(":")[1])
    return experiment


def _measured(train_set):
    """The class counts of the training images; the first time, that reads all of them."""
    return data.stats.measure(train_set, progress=progress.over("measuring"))


def loader(experiment, train_set, boundary=False, part=(0, 1)):
    """The batches of an experiment whose sizes are resolved, with all images of a step each.

    Args:
        boundary: whether they hold boundary maps.
        part: (rank, size): of each batch, this part.
    """
    section = experiment.data
    sampler = None
    if section.sampling == "rare":
        sampler = data.stats.RareClasses(_measured(train_set).counts, section.rare_temperature)
    cached = bool(section.cache_memory or section.cache_folder)
    if cached and section.reduced_jpeg:
        raise UsageError(
            "data.reduced_jpeg saves nothing where whole images are kept: drop it, or "
            "data.cache_memory and data.cache_folder."
        )
    if section.reduced_jpeg:
        train_set = data.ReducedJpeg(train_set)
    elif cached:
        processes = section.workers if section.worker_mode == "process" else 1
        memory = section.cache_memory * data.cache.GB / max(processes, 1)
        train_set = data.Cached(train_set, memory, section.cache_folder)
    return data.Loader(
        train_set,
        experiment.train.batch_size * experiment.train.accumulate,
        transform(experiment, train_set.info, boundary),
        seed=experiment.train.seed,
        shuffle=True,
        last="keep" if experiment.train.keep_last else "discard",
        workers=section.workers,
        mode=section.worker_mode,
        sampler=sampler,
        part=part,
    )


def start_weights(net, model, info):
    """Give a new network the weights that the experiment starts from."""
    if model.weights:
        saved = checkpoint.read(model.weights)
        if not model.weights_strict:
            _start_from_what_fits(net, saved)
            return
        checkpoint.load_parameters(net, saved.parameters, source=model.weights)
        check_classes(saved, info)
    elif model.backbone_weights:
        pretrained.load(net, model.backbone_weights)


def _start_from_what_fits(net, saved):
    kept, left = checkpoint.load_fitting(net, saved.parameters, saved.path)
    for what, names in (("are not in it and start anew", kept), ("of it fit nowhere", left)):
        if names:
            print(f"{saved.path}: {len(names)} parameters {what}: {', '.join(names)}")


def check(net, experiment, devices, workers=1):
    """Refuse settings that do not go together, before anything is computed."""
    run = experiment.train
    net.check_size(*config.pair(run.crop_size))
    if run.keep_last and max(devices, workers, run.accumulate) > 1:
        raise UsageError(
            "train.keep_last needs one device, one worker and train.accumulate=1: the last batch "
            "of an epoch may be too small to be shared out."
        )
    batch = run.batch_size
    if batch % workers:
        raise UsageError(
            f"train.batch_size {batch}, which is that of all workers together, must be a multiple "
            f"of their number {workers}."
        )
    batch //= workers
    if batch < devices:
        per = " of a worker" if workers > 1 else ""
        raise UsageError(f"train.batch_size {batch}{per} is less than the {devices} devices.")
    seen = batch if synchronised(net) else batch // devices
    if seen < net.min_batch and not run.freeze_bn:
        raise UsageError(
            f"Network '{experiment.model.name}' has batch norms over one value per image: it needs "
            f"{net.min_batch} images or more per device to train, not {seen}. Raise "
            "train.batch_size, or set train.freeze_bn."
        )


def check_classes(saved, info):
    """UsageError if a checkpoint's classes are not those of the data, in their order."""
    difference = saved.description.difference(info)
    if difference:
        raise UsageError(
            f"{saved.path} and data set '{info.name}' differ: {difference}. Train on the data that "
            "it was trained on, or start from what fits with model.weights_strict=false."
        )


def check_optimizer(saved, optim):
    """UsageError if a run was begun with another optimiser, whose state would be misread."""
    before = saved.experiment["optim"]["name"]
    if before != optim.name:
        raise UsageError(
            f"{saved.path} was trained with {before}, whose state means nothing to {optim.name}. "
            f"Resume with optim.name={before}, or begin a new run from it with --checkpoint."
        )
