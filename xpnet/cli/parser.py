"""The argument parser: commands with examples, and errors in two lines."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any, NoReturn, TypeAlias

from xpnet import foreign_names
from xpnet.errors import ConfigurationError, did_you_mean, nearest

__all__ = ["Commands", "Parser", "UsageError", "add_command"]


OPTION = re.compile("--|-[a-zA-Z][^ ]*$")
"""How an option begins, and no number below 0, such as the value of an option, nor the - of standard input."""


class UsageError(ConfigurationError):
    """Arguments make no sense together."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors take two lines, the reason and where to find help, and suggest what was meant."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parse; an unknown option is reported before required ones that are missing, perhaps because of it."""
        if self._subparsers is None:
            for argument in takewhile(lambda argument: argument != "--", args or ()):
                self._require_known(argument.partition("=")[0])
        return super().parse_known_args(args, namespace)

    def _require_known(self, option: str) -> None:
        known = self._option_string_actions
        if OPTION.match(option) and option not in known:
            meant = f"--{foreign_names.OPTIONS.get(option.lstrip('-').lower())}"
            near = meant if meant in known else nearest(option, known, 0.7)
            self.error(f"there is no option {option}" + (f"; did you mean {near}?" if near else ""))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse what is not among an option's choices, and suggest the one that was meant."""
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            error.message += did_you_mean(str(value), action.choices or (), cutoff=0.6)
            raise

    def refuse_misplaced(self, given: Sequence[str], rest: Sequence[str]) -> NoReturn:
        """Exit with an error for the *rest* of the arguments *given*, which belongs to no option."""
        place = given.index(rest[0]) if rest[0] in given else 0
        before = given[max(place - 2, 0) : place]
        option = self._option_string_actions.get(before[0]) if len(before) == 2 else None
        listed = option and "," in str(option.metavar)
        hint = f"; write {before[0]} {','.join([before[1], *rest])}" if listed else ""
        self.error(f"unexpected argument{'s' * (len(rest) > 1)}: {' '.join(rest)}{hint}")

    def error(self, message: str) -> NoReturn:
        """Print why the arguments make no sense, and exit with status 2."""
        self.exit(2, f"{self.prog}: {message}\n{self.prog} --help shows what there is\n")


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"
"""What a command adds its parser to."""


def add_command(
    commands: Commands, usage: str, run: Callable[[argparse.Namespace], int], summary: str, examples: str
) -> Parser:
    """Add a command, by its name and the arguments that it must have, with its examples; return its parser."""
    parser = commands.add_parser(
        usage.split()[0],
        usage=f"xpnet {usage} [OPTION ...]",
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
    return parser
