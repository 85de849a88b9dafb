"""The program: ``python -m xpnet``, and the command ``xpnet``."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

__all__ = ["main"]

INTERRUPTED = 130


def main() -> int:
    """Run the command line and return its exit status; Ctrl-C while it is still being imported is one line, too."""
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else it is ignored, as behind nohup
    if ours:
        # An exception amid the imports of a library in C may end in a crash, or be told and passed over.
        signal.signal(signal.SIGINT, _leave)
    from xpnet import cli

    try:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return cli.main()
    except KeyboardInterrupt:
        print("\nxpnet: interrupted", file=sys.stderr)
        return INTERRUPTED
    finally:
        # Where Ctrl-C left an exec of text, as a dataclass needs, Python ends by the signal though the exception was
        # caught, unless another exec has come since.
        exec("")


def _leave(number: int, frame: FrameType | None) -> None:
    """End the process here and now; nothing has been begun that would be left half done."""
    try:
        os.write(2, b"\nxpnet: interrupted\n")
    finally:
        os._exit(INTERRUPTED)


if __name__ == "__main__":
    sys.exit(main())
