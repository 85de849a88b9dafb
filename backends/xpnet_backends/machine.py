"""What backends tell of the machine that they run on."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path

__all__ = ["cpu_memory", "is_intel"]

CPUS = Path("/proc/cpuinfo")
"""Where Linux describes each processor, the maker on the second line."""


def cpu_memory() -> str:
    """Return the machine's memory as the end of a device's description, ``", 15.6 GiB"``; empty where it is unknown."""
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not POSIX, or a POSIX without these two
        return ""
    return f", {size / 2**30:.1f} GiB" if size > 0 else ""


@cache
def is_intel() -> bool:
    """Say whether Intel has made the processor; False where that is unknown."""
    try:
        with CPUS.open() as lines:
            return any("GenuineIntel" in line for line, _ in zip(lines, range(2), strict=False))
    except OSError:  # not Linux
        return "GenuineIntel" in platform.processor()
