"""Speed, as ratios within one run: ``make bench``."""

import mxnetseg  # noqa: F401  prepares the process before anything imports mxnet
