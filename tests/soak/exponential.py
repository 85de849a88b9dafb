"""Hold a kernel's exp to NumPy's on all 2^32 numbers of float32: ``python -m tests.soak.exponential``."""

from __future__ import annotations

import sys

import numpy as np
from xpnet_backends.on_numpy import exponential

PIECE = 1 << 24


def differing() -> int:
    """Return how many numbers have another exp; two NaN are equal."""
    count = 0
    for start in range(0, 2**32, PIECE):
        given = np.arange(start, start + PIECE, dtype=np.uint32).view(np.float32)
        found = exponential.filled(given)
        with np.errstate(all="ignore"):
            wanted = np.exp(given)
        same = (found.view(np.uint32) == wanted.view(np.uint32)) | (np.isnan(found) & np.isnan(wanted))
        count += int(np.count_nonzero(~same))
    return count


if __name__ == "__main__":
    different = differing()
    print(f"{different:,} of {2**32:,} numbers differ")
    if different and not exponential.agrees():
        print("NumPy has another exp on this processor; kernels leave it to NumPy")
    sys.exit(1 if different and exponential.agrees() else 0)
