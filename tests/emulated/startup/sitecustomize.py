"""Gives every Python with this folder on its path an emulated GPU, when CuPy is first looked for.

PYTHONPATH=tests/emulated/startup python -m xpnet info
"""

import importlib.util
import sys
from pathlib import Path


class Finder:
    """Waits for CuPy, and finds nothing itself."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("cupy", "cupy_backends"):
            sys.meta_path.remove(self)
            spec = importlib.util.spec_from_file_location("emulated_gpu", Path(__file__).parents[1] / "gpu.py")
            gpu = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = gpu
            spec.loader.exec_module(gpu)
            gpu.install()


sys.meta_path.insert(0, Finder())
