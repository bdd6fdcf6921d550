"""Arrows point down: who may import whom."""

import ast
from pathlib import Path

import mxnetseg

PACKAGE = Path(mxnetseg.__file__).parent

# from the top to the bottom; a room imports its own layer's files and those of lower layers
LAYERS = (
    ("__main__", "train", "eval", "predict"),
    ("cli",),
    (
        "training",
        "analysis",
        "complexity",
        "deploy",
        "build",
        "costs",
        "doctor",
        "inspection",
        "report",
        "runs",
        "speed",
        "tuning",
    ),
    ("convert", "inference"),
    ("checkpoint", "losses", "metrics"),
    ("data", "models"),
    ("backbones", "layers", "nn"),
    ("config", "description", "files", "graph", "legend", "params", "resample"),
    ("boundary", "columns", "packages", "palette", "plain_yaml", "progress", "runtime"),
    ("errors", "registry", "shipped", "version"),
)
LEVEL = {room: len(LAYERS) - k for k, layer in enumerate(LAYERS) for room in layer}
APART = {  # in one layer or below, but strangers all the same
    "convert": ("inference", "losses", "metrics"),
    "inference": ("convert", "losses"),
    "data": ("models", "checkpoint"),
    "nn": ("backbones",),
    "models": ("data",),
}


def imports():
    """(room, imported room, file) of every import within the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        inside = path.relative_to(PACKAGE).parts
        room = inside[0].replace(".py", "")
        if room == "__init__":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = list(inside[:-1])[: len(inside) - node.level]
                names = [*base, *(node.module or "").split(".")] if node.module else base
                for alias in node.names:
                    target = [n for n in names if n] or [alias.name]
                    yield room, target[0], "/".join(inside)
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mxnetseg."):
                yield room, node.module.split(".")[1], "/".join(inside)


def test_every_room_has_a_layer():
    rooms = {p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert rooms - {"__init__", "__pycache__"} <= set(LEVEL)


def test_arrows_point_down():
    wrong = {
        f"{file} imports {target}"
        for room, target, file in imports()
        if target in LEVEL
        and target != room
        and (LEVEL[target] > LEVEL[room] or target in APART.get(room, ()))
    }
    assert not wrong


def test_no_circle_between_files():
    graph = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        parent = module.split(".")[:-1]
        targets = graph.setdefault(module, set())
        for node in ast.parse(path.read_text(encoding="utf-8")).body:  # at import time only
            if isinstance(node, ast.ImportFrom) and node.level:
                base = parent[: len(parent) - node.level + 1]
                names = [*base, *node.module.split(".")] if node.module else base
                for alias in node.names:
                    inner = ".".join([*names, alias.name])
                    outer = ".".join(names)
                    targets.add(inner if _is_module(inner) else outer)
    done, path = set(), []

    def visit(module):
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module in done:
            return
        path.append(module)
        for target in sorted(graph.get(module, ())):
            visit(target)
        path.pop()
        done.add(module)

    for module in graph:
        if not module.endswith("__init__"):
            visit(module)


def _is_module(name):
    path = PACKAGE.joinpath(*name.split("."))
    return path.with_suffix(".py").exists()
