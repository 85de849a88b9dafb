"""What backends tell of the machine that they run on."""

from __future__ import annotations

import os

__all__ = ["cpu_memory"]


def cpu_memory() -> str:
    """Return the machine's memory as the end of a device's description, ``", 15.6 GiB"``; empty where it is unknown."""
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not POSIX, or a POSIX without these two
        return ""
    return f", {size / 2**30:.1f} GiB" if size > 0 else ""
