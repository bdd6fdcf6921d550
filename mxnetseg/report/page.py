"""The page: one HTML file that needs nothing else."""

import datetime
from pathlib import Path

from .. import files, packages, version
from ..errors import MXNetSegError, UsageError
from ..inference.protocol import Protocol
from . import collect, figures, pictures, sections, settings

HERE = Path(__file__).resolve().parent
LISTS = ("confusions", "galleries", "histogram", "distance", "calibration", "frequencies")
MOST_RUNS = 6  # the page has so many colours


def write(folders, path, ask=None):
    """Write the page of one or several runs.

    Args:
        folders: see :func:`~mxnetseg.report.collect.collect`.
        path: of the HTML file.
        ask: DEVICES of ``--ctx``, for evaluations and pictures.

    Returns:
        Sentences about what the page lacks and why.
    """
    environment = _environment()
    if len(folders) > MOST_RUNS:
        raise UsageError(f"A page compares up to {MOST_RUNS} runs, not {len(folders)}.")
    runs = collect.collect(folders, ask)
    content, notes = _content(runs, ask)
    page = environment.get_template("page.html").render(**content, notes=notes)
    files.write(path, page)
    return notes


def _environment():
    jinja2 = packages.jinja2()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(str(HERE)),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["percent"] = sections.percent
    environment.globals["source"] = lambda name: (HERE / name).read_text(encoding="utf-8")
    return environment


def _content(runs, ask):
    """What the template shows, and notes about what is missing."""
    scored = [run for run in runs if run.result is not None]
    notes = [
        f"{run.name} was not scored: its training has no checkpoint yet."
        for run in runs
        if run.result is None
    ]
    content = {
        "title": " · ".join(run.name for run in runs),
        "made": datetime.datetime.now().strftime("%Y-%m-%d %H:%M"),
        "version": version.__version__,
        "runs": [_about(run) for run in runs],
        "scored": bool(scored),
        "settings": settings.table([run.experiment for run in runs]),
        "curves": sections.curves(runs),
        **dict.fromkeys(LISTS, ()),
    }
    if not scored:
        return content, notes
    if len(scored) < len(runs):
        raise MXNetSegError(f"{notes[0]} It cannot be compared.")
    columns, rows = sections.classes(scored)
    notes += _unlike(scored) + _missing(scored)
    galleries, more = _galleries(scored, ask)
    content.update(
        numbers=sections.numbers(scored),
        findings=[sections.findings(run) for run in scored],
        columns=columns,
        classes=rows,
        confusions=sections.confusions(scored),
        histogram=sections.histogram(scored),
        spread=sections.spread(scored),
        galleries=galleries,
        distance=_of_all(scored, "boundary_distance", figures.distance, "errors near boundaries"),
        calibration=_of_all(scored, "reliability", figures.reliability, "reliability diagram"),
        frequencies=sections.frequencies(scored),
        balance=sections.balance(scored[0]),
        colors={row["color"]: row["name"] for row in reversed(rows)},
    )
    return content, notes + more


def _about(run):
    """A run in a few words."""
    model, result = run.experiment.get("model") or {}, run.result or {}
    words = [w for w in (model.get("name"), model.get("backbone")) if w]
    if not words and run.checkpoint is not None:
        words = [run.checkpoint.meta["network"].get("name", "")]
    unknown = "label maps" if result.get("predictions") else "unknown network"
    dataset = result.get("dataset") or (run.experiment.get("data") or {}).get("name")
    progress = (run.checkpoint.meta.get("progress") or {}) if run.checkpoint else {}
    protocol = result.get("protocol")
    return {
        "name": run.name,
        "network": " · ".join(words) or unknown,
        "dataset": dataset or "unknown data",
        "split": result.get("split"),
        "images": result.get("images"),
        "seconds": result.get("seconds"),
        "checkpoint": result.get("checkpoint"),
        "epochs": progress.get("epochs"),
        "protocol": str(Protocol(**protocol)) if protocol else None,
    }


def _of_all(runs, key, draw, label):
    """A figure of what every run has; "" if one lacks it."""
    found = [run.result.get(key) for run in runs]
    return draw(found, label) if all(found) else ""


def _unlike(runs):
    """That scores of different images do not compare, where it is so."""
    names = [{row["image"] for row in run.rows} for run in runs]
    if all(own == names[0] for own in names) or not all(names):
        return []
    counts = ", ".join(f"{run.name} {len(own)}" for run, own in zip(runs, names))
    shared = len(set.intersection(*names))
    return [
        f"Not all runs were scored on the same images ({counts}; {shared} in common): their scores "
        "do not compare."
    ]


def _missing(runs):
    """What the evaluations did not measure, and how to get it."""
    wanted = {
        "boundary_iou": "boundary_miou",
        "boundary_distance": "boundary_distance",
        "calibration": "reliability",
        "bootstrap": "miou_interval",
    }
    found = []
    for run in runs:
        names = [name for name, key in wanted.items() if key not in run.result]
        verb = "eval"
        if run.result.get("protocol", ()) is None:  # label maps, which say not how sure they are
            names, verb = [name for name in names if name != "calibration"], "score"
        if names:
            found.append(
                f"{run.name} was evaluated without some of what this page can show: "
                f"`mxnetseg {verb} --metrics {' '.join(names)}` measures it."
            )
    return found


def _galleries(runs, ask):
    """Groups of images with their pictures; several where runs have other images."""
    parts, found, notes = [], [], []
    for k, run in enumerate(runs):
        part = next((p for p in parts if runs[p[0]].same_images(run)), None)
        parts.append([k]) if part is None else part.append(k)
    for part in parts:
        some = [runs[k] for k in part]
        groups = pictures.groups(some)
        names = list(dict.fromkeys(n for _, _, group in groups for n in group))
        if not names:
            continue
        try:
            shown = pictures.load(some, names, ask)
        except MXNetSegError as error:
            notes.append(f"There are no pictures. {error}")
            continue
        palette = some[0].palette
        urls = pictures.encode(list(shown.values()), palette)
        for title, note, group in groups:
            cards = [
                {
                    **urls[name],
                    "name": name,
                    "scores": shown[name].scores,
                    "failures": [
                        [(some[0].classes[c], 100 * part) for c, part in failures]
                        for failures in shown[name].failures
                    ],
                }
                for name in group
            ]
            found.append(
                {"title": title, "note": note, "cards": cards, "runs": part, "number": len(found)}
            )
    return found, notes
