"""How long ``import xpnet`` with a NumPy backend opened takes, as a multiple of ``import numpy``.

    python benchmarks/import_time.py [--runs 15] [--limit 1.5]

The two run in turn, each in a process of its own, so that a slow moment of the machine hits both; the medians
are compared. With a limit, a larger ratio exits with status 1.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from time import perf_counter

NOTHING = "pass"
NUMPY = "import numpy"
XPNET = "import xpnet; xpnet.open_backend('numpy')"


def seconds(code: str) -> float:
    """Return the wall time of a Python process that runs *code*."""
    start = perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15, help="processes of each kind (default: %(default)s)")
    parser.add_argument("--limit", type=float, help="exit with status 1 where the ratio is larger")
    options = parser.parse_args()
    kinds = (NOTHING, NUMPY, XPNET)
    for code in kinds:  # the first of each compiles bytecode and warms the disk's cache
        seconds(code)
    taken = {code: [] for code in kinds}
    for _ in range(options.runs):
        for code in kinds:
            taken[code].append(seconds(code))
    medians = {code: statistics.median(times) for code, times in taken.items()}
    for code, median in medians.items():
        print(f"{median * 1000:8.1f} ms  {code}")
    ratio = medians[XPNET] / medians[NUMPY]
    print(f"{ratio:8.2f}     times import numpy")
    return 1 if options.limit is not None and ratio > options.limit else 0


if __name__ == "__main__":
    sys.exit(main())
