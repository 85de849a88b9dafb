"""Hold a kernel's exp to NumPy's on all 2^32 numbers of float32: ``python -m tests.soak.exponential``."""

from __future__ import annotations

import sys

import numba
import numpy as np
from xpnet_backends.on_numpy import exponential

PIECE = 1 << 24


def differing() -> int:
    """Return how many numbers have another exp; two NaN are equal."""
    exp = exponential.exp32()

    @numba.njit(error_model="numpy")
    def fill(given, found):
        for i in range(len(given)):
            found[i] = exp(given[i])

    count, found = 0, np.empty(PIECE, dtype=np.float32)
    for start in range(0, 2**32, PIECE):
        given = np.arange(start, start + PIECE, dtype=np.uint32).view(np.float32)
        fill(given, found)
        with np.errstate(all="ignore"):
            wanted = np.exp(given)
        same = (found.view(np.uint32) == wanted.view(np.uint32)) | (np.isnan(found) & np.isnan(wanted))
        count += int(np.count_nonzero(~same))
    return count


if __name__ == "__main__":
    if not exponential.agrees():
        print("NumPy has another exp on this processor, so kernels do not use theirs")
        sys.exit(0)
    different = differing()
    print(f"{different:,} of {2**32:,} numbers differ")
    sys.exit(1 if different else 0)
