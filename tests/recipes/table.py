"""The tables of docs/recipes.md, from the facts and the files."""

from mxnetseg import config
from mxnetseg.columns import counted

from . import facts

HEAD = (
    "| recipe | trained on | crop | batch | epochs | rate | decay | loss | mIoU |\n"
    "|---|---|---|---|---|---|---|---|---|"
)
SPLITS = {"trainval": "train and val", "train_aug": "train"}


def tables():
    """{code base: its table}."""
    found = {}
    for name, row in facts.RECIPES.items():
        found.setdefault(row["source"], [HEAD]).append(_line(name, row))
    return {source: "\n".join(lines) for source, lines in found.items()}


def _line(name, row):
    experiment = config.build(file=facts.ROOT / f"configs/{name}.yaml")
    run, optim, loss = experiment.train, experiment.optim, experiment.loss
    crop = "{} x {}".format(*config.pair(run.crop_size))
    rate = f"{optim.lr:g}"
    if row["head"] != 1:
        rate += f" (head x {row['head']})"
    split = SPLITS.get(experiment.data.train_split, experiment.data.train_split)
    epochs = f"{run.stop_after} of {run.epochs}" if run.stop_after else run.epochs
    devices = f", {counted(row['devices'], 'device')}" if row["devices"] else ""
    note = "" if row.get("run", True) else " ¹"
    cells = (
        f"[{name}](../configs/{name}.yaml){note}", split, crop, f"{run.batch_size}{devices}",
        epochs, rate, f"{optim.weight_decay:g}", loss.name, row["score"],
    )  # fmt: skip
    return "| " + " | ".join(str(c) for c in cells) + " |"


def page(text):
    """The page with its tables as they must be, each at the end of its code base's section."""
    parts = text.split("\n## ")
    for i, part in enumerate(parts):
        for source, table in tables().items():
            if part.startswith(source + "\n"):
                lines = part.split("\n")
                words = "\n".join(line for line in lines if not line.startswith("|")).strip()
                parts[i] = f"{words}\n\n{table}\n"
    return "\n## ".join(parts)
