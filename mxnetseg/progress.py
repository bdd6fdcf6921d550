"""Progress bars, on a terminal only."""

import functools
import sys

from tqdm import tqdm


def bar(text=None, **options):
    """tqdm with a text before it; silent where nobody looks."""
    return tqdm(desc=text, leave=False, disable=not sys.stderr.isatty(), **options)


def over(text):
    """``over("measuring")(items)`` iterates with a bar."""
    return functools.partial(
        tqdm, desc=text, unit="image", leave=False, disable=not sys.stderr.isatty()
    )
