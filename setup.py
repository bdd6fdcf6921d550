"""Puts weights/*.params, the trained networks of the repository, into what is installed."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithWeights(build_py):
    def run(self):
        super().run()
        if getattr(self, "editable_mode", False):
            return  # reads them where they are
        folder = Path(self.build_lib) / "mxnetseg" / "shipped"
        folder.mkdir(parents=True, exist_ok=True)
        for path in Path(__file__).resolve().parent.glob("weights/*.params"):
            shutil.copy(path, folder / path.name)


setup(cmdclass={"build_py": BuildWithWeights})
