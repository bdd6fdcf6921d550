"""Training: one run, told in order."""

import contextlib
import time
from pathlib import Path

import mxnet as mx
import numpy as np
from mxnet import autograd

from .. import build, files, losses, progress, runtime
from .. import checkpoint as checkpoints
from ..errors import UsageError
from ..inference.backend import MXNetBackend
from ..inference.protocol import Protocol
from ..nn import Normalize, forward
from . import folder, precision
from .average import Average
from .freezing import freeze
from .group import ALONE, checksum
from .health import average_statistics, check_finite
from .log import Log
from .optimizer import Optimizer
from .schedules import learning_rate
from .score import TrainingScore
from .signals import Interrupted, Signals
from .trackers import examples
from .validation import validate

RUN_AHEAD = 2  # steps that the host may be ahead of the devices


def train(experiment, contexts, out, resume=None, group=ALONE):
    """Run an experiment from its beginning, or on from a checkpoint, to its end.

    Args:
        experiment: a ``config.Experiment``.
        contexts: devices; each gets an equal share of every batch, and the step is that of the
            whole batch on one device.
        out: folder for best.params, last.params, log.jsonl and config.yaml.
        resume: a Checkpoint of this experiment. The run goes on exactly as if it had not stopped.
        group: the Group of workers that share every batch; the first of them writes to ``out``.

    Returns:
        The best mIoU on the validation split; None if there was no validation.

    Raises:
        Interrupted: SIGINT or SIGTERM arrived; last.params is saved.
        UsageError: settings that do not go together; another run writes to ``out``.
        MXNetSegError: broken data, a loss that is not finite, a folder that cannot be written.
    """
    out = Path(out)
    runtime.share_cores(contexts)
    with folder.held(out) if group.rank == 0 else contextlib.nullcontext():
        return _train(experiment, contexts, out, resume, group)


def _train(experiment, contexts, out, resume, group):
    run, optim, devices = experiment.train, experiment.optim, len(contexts)
    precision.check(experiment, contexts)

    # --- data and network ----------------------------------------------------------------------
    train_set = build.dataset(experiment, experiment.data.train_split)
    val_set = build.validation_set(experiment) if run.validate_every else None
    info = train_set.info
    mx.random.seed(run.seed)
    net = build.create_network(experiment.model, info.num_classes, info.channels)
    experiment = build.with_sizes(experiment, train_set, net)
    build.check(net, experiment, devices, group.size)
    experiment = build.with_class_weights(experiment, train_set)
    boundary, part = "boundary" in net.output_names, (group.rank, group.size)
    loader = build.loader(experiment, train_set, boundary, part)
    total_steps = run.epochs * len(loader)
    full = loader.full_batches  # those that the rate's schedule counts

    # --- weights, loss, optimiser --------------------------------------------------------------
    if resume:
        build.check_classes(resume, info)
        checkpoints.load_parameters(net, resume.parameters, source=resume.path)
    else:
        build.start_weights(net, experiment.model, info)
    net.collect_params().reset_ctx(contexts)
    net.upsample_outputs = False  # the loss enlarges more cheaply
    freeze(net, run.freeze, statistics=run.freeze_bn)
    net.hybridize(static_alloc=True, static_shape=True)
    trained = precision.network(net, run.precision)
    loss = losses.create(
        experiment.loss.name,
        net,
        experiment.loss.aux_weights,
        class_weights=experiment.loss.class_weights,
        per=experiment.loss.per,
        **experiment.loss.options,
    )
    normalize = Normalize(info.mean, info.std)
    normalize.initialize(ctx=contexts)
    normalize.hybridize(static_alloc=True)
    optimizer = Optimizer(
        net, optim, contexts, run.clip_norm, run.accumulate > 1, group.kvstore,
        precision.scaler(run.precision),
    )  # fmt: skip
    average = Average(net, run.ema)

    # --- where the run stands ------------------------------------------------------------------
    step, finished, best = 0, 0, None  # finished: epochs, with their validation
    if resume:
        step, finished, best = (resume.meta["progress"][k] for k in ("step", "epochs", "best"))
        if not 0 <= step - finished * len(loader) <= len(loader):
            raise UsageError(
                f"{resume.path} stands at step {step} of epoch {finished + 1}, which epochs of "
                f"{len(loader)} steps do not have. Resume with the same data, train.batch_size and "
                "train.accumulate."
            )
        build.check_optimizer(resume, optim)
        optimizer.load(resume.optimizer, step)
        average.load(resume.optimizer)
    protocol = Protocol.from_config(experiment)
    meta = checkpoints.describe(
        net,
        info,
        experiment=experiment.model_dump(mode="json"),
        protocol=protocol.as_dict(),
    )
    facts = {"train_images": len(train_set), "val_images": len(val_set or ())}
    score = TrainingScore(net) if experiment.log.train_miou else None
    log = Log(out, experiment, step, finished, total_steps, loss.names, facts, group, score)
    group.agree_on(experiment, train_set, net)

    def save(*names):
        """Write the run as it stands under ``names``, the last one last."""
        log.settle()
        mx.nd.waitall()  # reading does not wait for the update of running statistics by itself
        stop.reacted()
        log.flush()
        average_statistics(net, contexts)
        group.average_statistics(net)
        if group.rank:
            return out / names[-1]
        stand = {"step": step, "epochs": finished, "best": best, "total_steps": total_steps}
        with average.applied():
            state = {**optimizer.state(), **average.state()}
            check_finite(net, state, step)
            checkpoints.save(out / names[0], net, {**meta, "progress": stand}, state)
        for name in names[1:]:
            files.copy(out / names[0], out / name)
        log.restart()
        return out / names[-1]

    # --- epochs --------------------------------------------------------------------------------
    end = min(run.epochs, run.stop_after or run.epochs)
    saved_at = time.monotonic()
    with Signals() as stop, log, loader:
        group.watch(stop)
        stopping = False
        for epoch in range(finished, end):
            begin = step - epoch * len(loader)
            bar = progress.bar(
                f"epoch {epoch + 1}/{run.epochs}", total=len(loader), initial=begin, unit="step"
            )
            for batch in log.waiting_for(loader.epoch(epoch, begin)):
                passed = epoch * full + step - epoch * len(loader)
                rate = learning_rate(optim, passed, run.epochs * full, full)
                # dropout becomes a function of (seed, step, rank), so that a resumed run repeats it
                mx.random.seed((run.seed * 1_000_003 + step + 500_009 * group.rank) % 2**31)
                pixels, masks = (np.array_split(x, run.accumulate * devices) for x in batch[:2])
                shared = run.accumulate > 1 or group.size > 1
                total = group.sum(loss.normalizer(masks)) if shared else None
                parts, seen = [], []
                for k in range(0, len(pixels), devices):
                    images = [normalize.load(x, c) for x, c in zip(pixels[k:], contexts)]
                    labels = [mx.nd.array(x, c, x.dtype) for x, c in zip(masks[k:], contexts)]
                    with autograd.record():
                        outputs = forward(trained, images)
                        adds = loss.parts(outputs, labels, total)
                    optimizer.backward(adds)
                    parts += adds
                    if score:
                        seen += [(o[0].copy(), mask) for o, mask in zip(outputs, masks[k:])]
                norm = optimizer.step(rate)
                step += 1
                average.update(step)

                log.step(step, epoch, rate, parts, norm, bar, optimizer.scaler.facts(), seen)
                log.settle(RUN_AHEAD)
                bar.update()
                due = run.save_minutes and time.monotonic() - saved_at > 60 * run.save_minutes
                stopping, due = group.meet(stop, due)
                if stopping:
                    break
                if due:
                    save("last.params")
                    saved_at = time.monotonic()

            # --- save and validate -------------------------------------------------------------
            if stopping:
                raise Interrupted(save("last.params"), stop.number)
            last_epoch, is_best = epoch + 1 == end, False
            if val_set and _validates(run, epoch + 1, end):
                path = save("last.params")  # whatever happens while validating, nothing is lost
                with average.applied():
                    backend = MXNetBackend(net, contexts, info.mean, info.std)
                    group.agree("The parameters", checksum(net))
                    result = validate(backend, val_set, protocol, group, stop, path, loss)
                    log.pictures(step, examples, backend, val_set, protocol)
                is_best = best is None or result["miou"] > best
                best = result["miou"] if is_best else best
                log.validation(step, epoch, result, best)
            bar.close()
            finished = epoch + 1
            keeps = run.keep_every and finished % run.keep_every == 0
            path = save(
                *["best.params"] * is_best,
                *[f"epoch_{finished:04d}.params"] * bool(keeps),
                "last.params",  # after the others: a run that dies in between makes them again
            )
            saved_at = time.monotonic()
            if group.meet(stop)[0] and not last_epoch:
                raise Interrupted(path, stop.number)
    return best


def _validates(run, epoch, end):
    """Whether the network is validated after this epoch, counted from 1."""
    return epoch == end or epoch % run.validate_every == 0 or epoch > end - run.validate_last
