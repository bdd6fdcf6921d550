"""Training: one run, told in order."""

import collections
import contextlib
import functools
import json
import math
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon
from tqdm import tqdm

from .. import config as configuration
from .. import data, losses, models
from ..backbones import pretrained
from ..errors import MXNetSegError, UsageError
from ..nn import Normalize
from . import checkpoint as checkpoints
from .evaluator import Protocol, evaluate
from .schedules import learning_rate

RUN_AHEAD = 2  # steps that the host may be ahead of the devices


class Interrupted(Exception):
    """SIGINT or SIGTERM arrived; the run is saved in ``path``."""

    def __init__(self, path):
        super().__init__(f"Interrupted. The run is saved; continue with --resume {path}")
        self.path = path


def train(experiment, contexts, out, resume=None):
    """Run an experiment from its beginning, or on from a checkpoint, to its end.

    Args:
        experiment: a ``config.Experiment``.
        contexts: devices; each gets an equal share of every batch, and the step is that of the
            whole batch on one device.
        out: folder for best.params, last.params, log.jsonl and config.yaml.
        resume: a Checkpoint of this experiment. The run goes on exactly as if it had not stopped.

    Returns:
        The best mIoU on the validation split; None if there was no validation.

    Raises:
        Interrupted: SIGINT or SIGTERM arrived; last.params is saved.
        UsageError: settings that do not go together.
        MXNetSegError: broken data, a loss that is not finite, a folder that cannot be written.
    """
    run, optim = experiment.train, experiment.optim
    out = Path(out)

    # --- data and network ----------------------------------------------------------------------
    train_set = _dataset(experiment, experiment.data.train_split)
    val_set = _validation_set(experiment) if run.validate_every else None
    info = train_set.info
    mx.random.seed(run.seed)
    net = create_network(experiment.model, info.num_classes, info.channels)
    experiment = with_sizes(experiment, train_set, net)
    _check(net, experiment, len(contexts))
    experiment = _with_class_weights(experiment, train_set)
    loader = _loader(experiment, train_set)
    total_steps = run.epochs * len(loader)

    # --- weights, loss, optimiser --------------------------------------------------------------
    if resume:
        checkpoints.load_parameters(net, resume.parameters, source=resume.path)
    else:
        _start_weights(net, experiment.model)
    net.collect_params().reset_ctx(contexts)
    net.upsample_outputs = False  # the loss enlarges more cheaply
    if run.freeze_bn:
        net.apply(_freeze)
    net.hybridize(static_alloc=True, static_shape=True)
    loss = losses.create(
        experiment.loss.name,
        net,
        experiment.loss.aux_weights,
        class_weights=experiment.loss.class_weights,
        **experiment.loss.options,
    )
    normalize = Normalize(info.mean, info.std)
    normalize.initialize(ctx=contexts)
    normalize.hybridize(static_alloc=True)
    optimizer = Optimizer(net, optim, contexts)

    # --- where the run stands ------------------------------------------------------------------
    step, finished, best = 0, 0, None  # finished: epochs, with their validation
    if resume:
        step, finished, best = (resume.meta["progress"][k] for k in ("step", "epochs", "best"))
        if not 0 <= step - finished * len(loader) <= len(loader):
            raise UsageError(
                f"{resume.path} stands at step {step} of epoch {finished + 1}, which epochs of "
                f"{len(loader)} steps do not have. Resume with the same data and train.batch_size."
            )
        optimizer.load(resume.optimizer, step)
    protocol = Protocol.from_config(experiment)
    meta = checkpoints.describe(
        net,
        info,
        experiment=experiment.model_dump(mode="json"),
        protocol=protocol.as_dict(),
    )
    log = Log(out, experiment, step)

    def save(name):
        mx.nd.waitall()  # reading does not wait for the update of running statistics by itself
        progress = {"step": step, "epochs": finished, "best": best, "total_steps": total_steps}
        checkpoints.save(out / name, net, {**meta, "progress": progress}, optimizer.state())

    # --- epochs --------------------------------------------------------------------------------
    pending = collections.deque()
    with _Signals() as stop, log:
        for epoch in range(finished, run.epochs):
            begin = step - epoch * len(loader)
            bar = tqdm(
                total=len(loader), initial=begin, leave=False, unit="step",
                desc=f"epoch {epoch + 1}/{run.epochs}", disable=not sys.stderr.isatty(),
            )  # fmt: skip
            for batch in loader.epoch(epoch, begin):
                rate = learning_rate(optim, step, total_steps, len(loader))
                # dropout becomes a function of (seed, step), so that a resumed run repeats it
                mx.random.seed((run.seed * 1_000_003 + step) % 2**31)
                pixels, masks = (np.array_split(x, len(contexts)) for x in batch[:2])
                images = [normalize.load(x, c) for x, c in zip(pixels, contexts)]
                labels = [mx.nd.array(x, ctx=c, dtype=x.dtype) for x, c in zip(masks, contexts)]
                with autograd.record():
                    parts = loss([net(x) for x in images], labels)
                autograd.backward(parts)
                optimizer.step(rate)
                step += 1

                pending.append(parts)
                if len(pending) > RUN_AHEAD:
                    for part in pending.popleft():
                        part.wait_to_read()
                log.step(step, epoch, rate, parts, run, bar)
                bar.update()
                if stop.is_set():
                    break
            bar.close()

            # --- save and validate -------------------------------------------------------------
            last_epoch = epoch + 1 == run.epochs
            validates = val_set and ((epoch + 1) % run.validate_every == 0 or last_epoch)
            if validates or stop.is_set():  # whatever happens while validating, nothing is lost
                save("last.params")
            if stop.is_set():
                raise Interrupted(out / "last.params")
            is_best = False
            if validates:
                result = evaluate(net, val_set, protocol, contexts)
                is_best = best is None or result["miou"] > best
                best = result["miou"] if is_best else best
                log.validation(step, epoch, result, best)
            finished = epoch + 1
            save("last.params")
            if is_best:
                _copy(out / "last.params", out / "best.params")
            if stop.is_set() and not last_epoch:
                raise Interrupted(out / "last.params")
    return best


class Optimizer:
    """MXNet's optimiser over all devices, with a state that can be saved and loaded exactly."""

    def __init__(self, net, optim, contexts):
        self.parameters = {
            n: p for n, p in net._collect_params_with_prefix().items() if p.grad_req != "null"
        }
        for name, parameter in self.parameters.items():
            if not name.startswith("backbone."):
                parameter.lr_mult = optim.head_lr_factor
            if not optim.decay_norm_and_bias and name.endswith(("gamma", "beta", "bias")):
                parameter.wd_mult = 0.0
        options = {"learning_rate": optim.lr, "wd": optim.weight_decay}
        if optim.name != "adam":
            options["momentum"] = optim.momentum
        self.trainer = gluon.Trainer(
            list(self.parameters.values()),
            optim.name,
            options,
            kvstore="device" if len(contexts) > 1 else None,
            update_on_kvstore=False,
        )

    def step(self, rate):
        """Update every parameter with the gradients summed over the devices."""
        self.trainer.set_learning_rate(rate)
        self.trainer.step(1, ignore_stale_grad=True)

    def state(self):
        """{"<number>:<parameter>": array}, from the first device: all are equal."""
        self._initialise()
        states = self.trainer._updaters[0].states
        found = {}
        for i, name in enumerate(self.parameters):
            for k, array in enumerate(_flat(states.get(i))):
                found[f"{k}:{name}"] = array.as_in_context(mx.cpu())
        return found

    def load(self, arrays, step):
        """The inverse of :meth:`state`, after ``step`` steps."""
        self._initialise()
        optimizer = self.trainer._optimizer
        optimizer.begin_num_update = optimizer.num_update = step
        for updater, ctx in zip(self.trainer._updaters, self.trainer._contexts):
            for i, (name, parameter) in enumerate(self.parameters.items()):
                updater.states[i] = state = optimizer.create_state_multi_precision(
                    i, parameter.data(ctx)
                )
                updater.states_synced[i] = True
                for k, array in enumerate(_flat(state)):
                    if f"{k}:{name}" not in arrays:
                        raise UsageError("The checkpoint was written with another optimiser.")
                    arrays[f"{k}:{name}"].copyto(array)

    def _initialise(self):
        if not self.trainer._kv_initialized:
            self.trainer._init_kvstore()


class Log:
    """log.jsonl always; the terminal and wandb beside it."""

    def __init__(self, out, experiment, step):
        self._interval = experiment.train.log_interval
        self._batch = experiment.train.batch_size
        self._epochs = experiment.train.epochs
        try:
            out.mkdir(parents=True, exist_ok=True)
            (out / "config.yaml").write_text(configuration.to_yaml(experiment), encoding="utf-8")
            self._drop_after(out / "log.jsonl", step)
            self._file = (out / "log.jsonl").open("a", encoding="utf-8")
        except OSError as error:
            raise MXNetSegError(f"{out} cannot be written: {error.strerror}.") from None
        self._wandb = _wandb(experiment, out)
        self._losses, self._since = [], time.time()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._file.close()
        if self._wandb:
            self._wandb.finish()

    def step(self, step, epoch, rate, parts, run, bar):
        """Note a step's loss; read the losses of an interval from the device at its end."""
        self._losses.append(parts)
        if step % self._interval:
            return
        values = [sum(part.asscalar() for part in parts) for parts in self._losses]
        mean = float(np.mean(values))
        if not math.isfinite(mean):
            raise MXNetSegError(
                f"The loss is not finite (near step {step}). Lower optim.lr, and check the labels "
                "with `mxnetseg check`."
            )
        now = time.time()
        speed = len(values) * self._batch / max(now - self._since, 1e-9)
        self._losses, self._since = [], now
        bar.set_postfix(loss=f"{mean:.3f}", lr=f"{rate:.2g}")
        self._write(
            step=step, epoch=epoch + 1, loss=mean, lr=rate, images_per_second=round(speed, 2)
        )

    def validation(self, step, epoch, result, best):
        """Note the scores of a validation."""
        keys = ("miou", "pixel_accuracy", "mean_accuracy", "seconds")
        scores = {k: result[k] for k in keys}
        self._write(step=step, epoch=epoch + 1, best=best, **scores)
        self._since = time.time()
        tqdm.write(
            f"epoch {epoch + 1}/{self._epochs}  mIoU {result['miou']:.4f}  pixel accuracy "
            f"{result['pixel_accuracy']:.4f}  best {best:.4f}"
        )

    def _write(self, **record):
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        if self._wandb:
            self._wandb.log(record, step=record["step"])

    @staticmethod
    def _drop_after(path, step):
        """Remove what a run that was killed had noted after its last checkpoint."""
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines()
            kept = [
                line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step
            ]
            path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")


class _Signals:
    """An event that SIGINT and SIGTERM set; a second signal acts as usual."""

    def __enter__(self):
        self.event = threading.Event()
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._arrived)
        return self.event

    def _arrived(self, number, frame):
        self.event.set()
        signal.signal(number, self._before[number])

    def __exit__(self, *exception):
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _dataset(experiment, split):
    section = experiment.data
    return data.create(section.name, split, section.root, **section.options)


def _validation_set(experiment):
    try:
        return _dataset(experiment, experiment.data.val_split)
    except UsageError as error:
        raise UsageError(
            f"{error} Name the split to validate on with --set data.val_split=..., or train with "
            "--no-val."
        ) from None


def create_network(model, num_classes, in_channels=3):
    """The network of an experiment's model section, with random weights."""
    chosen = {"backbone": model.backbone, "output_stride": model.output_stride, "aux": model.aux}
    chosen = {k: v for k, v in chosen.items() if v is not None}
    if in_channels != 3:
        chosen["in_channels"] = in_channels
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
    base, crop = data.transforms.default_sizes(augment.preset, train_set.info.name, height, width)
    if augment.base_size is None:
        augment.base_size = base
    if run.crop_size is None:
        run.crop_size = net.size_within(*crop)
    return experiment


def transform(experiment, info):
    """The training transform of an experiment whose sizes are resolved."""
    fill = tuple(int(255 * m + 0.5) for m in info.mean)  # 0 after normalisation
    options = {"mirror": info.mirror, "fill": fill, **experiment.augment.options}
    for name, key in (("crop_size", "train.crop_size"), ("base_size", "augment.base_size")):
        if name in options:
            raise UsageError(f"'{name}' is no option of augment.options: use {key}.")
    sizes = {"crop_size": experiment.train.crop_size, "base_size": experiment.augment.base_size}
    return data.transforms.create(experiment.augment.preset, info.name, **sizes, **options)


def _with_class_weights(experiment, train_set):
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
    return data.stats.measure(train_set, progress=progress_bar("measuring"))


def progress_bar(text):
    """tqdm with a text, on a terminal."""
    return functools.partial(
        tqdm, desc=text, unit="image", leave=False, disable=not sys.stderr.isatty()
    )


def _loader(experiment, train_set):
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
        experiment.train.batch_size,
        transform(experiment, train_set.info),
        seed=experiment.train.seed,
        shuffle=True,
        last="discard",
        workers=section.workers,
        mode=section.worker_mode,
        sampler=sampler,
    )


def _start_weights(net, model):
    if model.weights:
        arrays = checkpoints.read(model.weights).parameters
        checkpoints.load_parameters(net, arrays, source=model.weights)
    elif model.backbone_weights:
        pretrained.load(net, model.backbone_weights)


def _check(net, experiment, devices):
    """Refuse settings that do not go together, before anything is computed."""
    net.check_size(*configuration.pair(experiment.train.crop_size))
    batch = experiment.train.batch_size
    if batch < devices:
        raise UsageError(f"train.batch_size {batch} is less than the {devices} devices.")
    if batch // devices < net.min_batch and not experiment.train.freeze_bn:
        raise UsageError(
            f"Network '{experiment.model.name}' has batch norms over one value per image: it needs "
            f"{net.min_batch} images or more per device to train, not {batch // devices}. Raise "
            "train.batch_size, or set train.freeze_bn."
        )


def _freeze(block):
    if isinstance(block, gluon.nn.BatchNorm):
        block._kwargs["use_global_stats"] = True


def _flat(state):
    if state is None:
        return []
    return list(state) if isinstance(state, (tuple, list)) else [state]


def _copy(source, target):
    aside = target.with_name(f".{target.name}.part")
    try:
        shutil.copyfile(source, aside)
        os.replace(aside, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise MXNetSegError(f"{target} cannot be written: {error.strerror}.") from None


def _wandb(experiment, out):
    if not experiment.log.wandb:
        return None
    try:
        import wandb
    except ImportError:
        raise UsageError("--wandb needs the package: pip install wandb") from None
    online = "online" if os.environ.get("WANDB_API_KEY") else "offline"
    return wandb.init(
        project=experiment.log.wandb, dir=str(out), config=experiment.model_dump(mode="json"),
        mode=os.environ.get("WANDB_MODE", online),
    )  # fmt: skip
