"""The command line: ``python -m xpnet COMMAND``, or ``xpnet COMMAND``; each command has a module.

Exit status: 0 done; 1 data, model or machine do not allow it, with one line that says why; 2 the arguments make no
sense; 130 stopped by Ctrl-C; 141 nobody reads the output any more.
"""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
from collections.abc import Sequence

from xpnet import __version__
from xpnet.cli import bench, evaluate, export, info, predict, train
from xpnet.cli.parser import Parser, UsageError
from xpnet.errors import XpnetError

__all__ = ["main"]

FAILED, INTERRUPTED, BROKEN_PIPE = 1, 130, 141

WINDOWS = os.name == "nt"

EPILOG = """\
examples:
  xpnet train iris.csv --target species --out iris.safetensors
  xpnet predict iris.safetensors new.csv > answers.csv
  xpnet COMMAND --help

exit status: 0 done; 1 data or model do not allow it (one line says why); 2 wrong arguments; 130 Ctrl-C;
141 nobody reads the output any more"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    _write_utf8()
    parser = Parser(
        prog="xpnet",
        description="Neural networks written once, run on any array library.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"xpnet {__version__}")
    parser.add_argument("--traceback", action="store_true", help="show where in the code an error comes from")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (info, train, predict, evaluate, export, bench):
        module.add(commands)
    options, unknown = parser.parse_known_args(arguments)
    command = commands.choices[options.command]
    if unknown:
        command.refuse_misplaced(sys.argv[1:] if arguments is None else arguments, unknown)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
        return status
    except UsageError as error:
        command.error(str(error))
    except KeyboardInterrupt as error:
        print(f"\nxpnet {options.command}: {' '.join(['interrupted', *map(str, error.args)])}", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if _is_closed_pipe(error):
            # What is still in the buffer has nowhere to go, and Python would complain of it on its way out.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return BROKEN_PIPE
        if options.traceback:
            raise
        print(f"xpnet {options.command}: {_reason(error)}", file=sys.stderr)
        return FAILED


def _write_utf8() -> None:
    """Write UTF-8 and line feeds to standard output, whatever the locale, if it is a file or a pipe.

    A class or a column may have any name, and the locale's encoding, such as cp1252 on Windows, no letters for it.
    """
    if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty():
        sys.stdout.reconfigure(encoding="utf-8", errors=sys.stdout.errors, newline="\n")


def _is_closed_pipe(error: Exception) -> bool:
    """Say whether the reader of a pipe is gone; Windows reports that as an invalid argument without a file name."""
    if WINDOWS and isinstance(error, OSError) and error.errno == errno.EINVAL and error.filename is None:
        return True
    return isinstance(error, BrokenPipeError)


def _reason(error: Exception) -> str:
    """Return an error in one line, with its type if xpnet did not raise it on purpose."""
    text = " ".join(str(error).split())
    if isinstance(error, XpnetError):
        return text
    if isinstance(error, OSError) and error.strerror:  # a full disk behind standard output
        return f"cannot read or write{f' {error.filename}' if error.filename else ''}: {error.strerror}"
    return f"unexpected {type(error).__name__}: {text} (xpnet --traceback ... shows where)"
