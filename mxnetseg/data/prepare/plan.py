"""Which files a preparation makes, and making them: in threads, what is missing only."""

import concurrent.futures
import contextlib
import importlib
import os
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple

import numpy as np

from ... import files
from ...errors import MXNetSegError
from ...runtime import usable_cores
from .. import matlab
from ..opencv import one_thread


class Plan:
    """The files to be made below ``out``.

    What is made gathers in the folder ``.prepare`` and moves to its place when all is there: until
    then the data set looks as before, and an interrupted preparation goes on where it stopped.

    Attributes:
        root: folder of the originals. out: folder of the results.
        tasks: path -> function without arguments that gives the file's content as bytes.
        links: path -> an original file that is to appear there.
        lists: path -> function that gives the text, called at the end.
        data: the name of the data set that reads the results, if it is another one.
    """

    def __init__(self, root, out):
        self.root, self.out = Path(root).expanduser(), Path(out).expanduser()
        self.tasks: Dict[str, Callable[[], bytes]] = {}
        self.links: Dict[str, Path] = {}
        self.lists: Dict[str, Callable[[], str]] = {}
        self.data = None

    def make(self, path, function, *arguments):
        """``path``, below ``out``, is the content that ``function(*arguments)`` gives."""
        self.tasks[path] = lambda: function(*arguments)

    def link(self, path, original):
        """``path`` shall be ``original``; nothing to do where they are the same file."""
        self.links[path] = Path(original)

    def list(self, path, lines):
        """A text file; ``lines`` may be a function that is called when all else is made."""
        self.lists[path] = lambda: "".join(
            f"{x}\n" for x in (lines() if callable(lines) else lines)
        )

    def staged(self, path):
        return self.out / ".prepare" / path

    def done(self, path):
        return (self.out / path).is_file() or self.staged(path).is_file()


class Result(NamedTuple):
    """What :func:`run` did: files made now, those that were there already, where they are."""

    made: int
    there: int
    out: Path
    data: str


def run(planner, root, out, workers=None, progress=None):
    """Carry out the plan of ``planner(plan)``; see :func:`mxnetseg.data.prepare.prepare`."""
    plan = Plan(root, out)
    if not plan.root.is_dir():
        raise MXNetSegError(f"The folder {plan.root} does not exist; give --data-root.")
    planner(plan)
    missing = [path for path in plan.tasks if not plan.done(path)]
    failures = _make(plan, missing, workers or usable_cores(), progress)
    if failures:
        shown = "; ".join(str(failures[path]).rstrip(".") for path in list(failures)[:3])
        raise MXNetSegError(
            f"{len(failures)} of {len(plan.tasks)} files could not be made: {shown}. Repair the "
            "originals and start again: what is done is kept."
        )
    linked = sum([_link(plan.out / path, original) for path, original in plan.links.items()])
    for path in plan.tasks:
        _publish(plan.staged(path), plan.out / path)
    for path, text in plan.lists.items():
        _write_list(plan.out / path, text())
    _remove_folders(plan.out / ".prepare")
    return Result(
        len(missing) + linked,
        len(plan.tasks) + len(plan.links) - len(missing) - linked,
        plan.out,
        plan.data,
    )


def _make(plan, missing, workers, progress):
    """Make the missing files; returns path -> error of those that could not be."""
    failures = {}
    with one_thread(), concurrent.futures.ThreadPoolExecutor(workers) as pool:
        jobs = {pool.submit(_make_one, plan, path): path for path in missing}
        try:
            done = concurrent.futures.as_completed(jobs)
            for job in progress(done, total=len(jobs)) if progress else done:
                try:
                    job.result()
                except _Unwritable as error:
                    raise MXNetSegError(str(error)) from None
                except MXNetSegError as error:
                    failures[jobs[job]] = error
        finally:
            for job in jobs:
                job.cancel()
    return failures


def _make_one(plan, path):
    try:
        content = plan.tasks[path]()
    except MXNetSegError:
        raise
    except Exception as error:
        raise MXNetSegError(f"{path}: {type(error).__name__}: {error}") from error
    with _or_give_up():
        files.write(plan.staged(path), content)


class _Unwritable(MXNetSegError):
    """No use to go on with other files."""


@contextlib.contextmanager
def _or_give_up(path=None):
    """What cannot be written within ends the preparation."""
    try:
        yield
    except OSError as error:
        raise _Unwritable(f"{files.cannot_write(path, error)} {_ELSEWHERE}") from None
    except MXNetSegError as error:
        raise _Unwritable(f"{error} {_ELSEWHERE}") from None


_ELSEWHERE = "Choose a folder with --out."


def _publish(staged, path):
    with _or_give_up(path):
        if staged.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            os.replace(str(staged), str(path))


def _write_list(path, text):
    """Write a list, but never over one that says something else."""
    if path.is_file():
        if path.read_bytes() == text.encode("utf-8"):
            return
        raise MXNetSegError(
            f"{path} is there already and says something else; move it away, or choose "
            "another folder with --out. Everything else is done."
        )
    with _or_give_up():
        files.write(path, text)


def _remove_folders(top):
    """Remove a tree of empty folders; one that holds a file stays."""
    for folder, _, _ in os.walk(str(top), topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(folder)


def _link(path, original):
    """Make ``path`` show ``original``: a symbolic link, or a copy where there are none."""
    if path.exists():
        return False
    with _or_give_up(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():  # broken: the originals were moved
            path.unlink()
        try:
            os.symlink(str(original.resolve()), str(path))
        except (OSError, NotImplementedError):
            files.copy(original, path)
    return True


# --- what the preparations share ---------------------------------------------------------------


def needs(package, module):
    """Import an optional package, or say how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MXNetSegError(
            f"This preparation needs the package {package}: pip install {package}"
        ) from None


def find(root, *places) -> Path:
    """The first of ``places`` below ``root`` that exists; MXNetSegError that names all."""
    for place in places:
        if (root / place).exists():
            return root / place
    raise MXNetSegError(
        f"{root} holds none of {', '.join(places)}; unpack the data set there, or give the right "
        "--data-root."
    )


def read_lines(path) -> List[str]:
    """The lines of a list, without white space and empty ones."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise MXNetSegError(f"The list {path} cannot be read: {error}.") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def mat(path, variable=None):
    """The variables of a MATLAB file before version 7.3, or one of them."""
    try:
        found = matlab.read(Path(path).read_bytes())
    except FileNotFoundError:
        raise MXNetSegError(f"{path} does not exist; restore it.") from None
    except (OSError, matlab.Damaged) as error:
        raise MXNetSegError(f"{path} is no MATLAB file, or damaged ({error}).") from None
    if variable is None:
        return found
    if variable not in found:
        raise MXNetSegError(f"{path} holds no '{variable}'; use the data set's own file.")
    return found[variable]


def hdf5(path):
    """A MATLAB file of version 7.3, to be read in pieces."""
    h5py = needs("h5py", "h5py")
    try:
        return h5py.File(str(path), "r")
    except OSError as error:
        raise MXNetSegError(f"{path} cannot be read as HDF5 ({error}).") from None


def file_values(mask):
    """Classes 0, 1 ... and 255 -> the values 1, 2 ... and 0 that many data sets have in files."""
    return np.where(mask == 255, 0, mask + 1).astype(np.uint8)
