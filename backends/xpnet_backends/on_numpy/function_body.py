"""The body of a plan's function: lines of Python, of which consecutive ones with native calls become one program."""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from typing import Any

from xpnet_backends.on_numpy import native, team
from xpnet_backends.on_numpy.argument_checks import check_calls
from xpnet_backends.on_numpy.naming import Names
from xpnet_backends.on_numpy.native import Location, NativeCall, Program
from xpnet_backends.on_numpy.tracing import Host

__all__ = ["FunctionBody"]

MANY_VIEWS = 3
"""From so many views of one parameter on, they are kept for the next call: probably all weights are views of it."""


class FunctionBody:
    """Collects lines, and assembles them to the source of ``run(x0, x1, ...)``; compiles the routines of its calls.

    It *is silent* if no line can raise one of NumPy's floating-point warnings.
    """

    def __init__(self, names: Names, parameters: int) -> None:
        self.names = names
        self.parameters = [f"x{i}" for i in range(parameters)]
        self._body: list[tuple[str, list[NativeCall]]] = []
        self._copies: dict[str, str] = {}
        self._checks: list[NativeCall] = []
        self._objects = array("q", [0] * parameters)
        self.is_silent = True
        self._views: dict[str, list[tuple[str, str]]] = {name: [] for name in self.parameters}

    def add(self, text: str, *calls: NativeCall | None) -> None:
        """Add a line of Python, and the calls that replace it if none of them is None."""
        made = [call for call in calls if call is not None]
        self._body.append((text, made if len(made) == len(calls) else []))
        self.is_silent = self.is_silent and bool(self._body[-1][1])

    def add_copy(self, name: str, source: str) -> None:
        """Add a line that names a copy of an array."""
        self._copies[name] = f"{name} = {source}.copy()"
        self._body.append((self._copies[name], []))

    def add_checks(self, arrays: Sequence[Host]) -> None:
        """Have ``run_checked`` beside ``run``, for arguments that were recorded as *arrays*."""
        self._checks = check_calls(arrays, self._objects.buffer_info()[0])

    def add_view(self, parameter: str, name: str, text: str) -> None:
        """Add a line that makes a view of a parameter; as it reads no values, it comes before all others."""
        self._views[parameter].append((name, text))

    @property
    def calls(self) -> list[NativeCall]:
        """All calls, in order."""
        return [call for _, calls in self._body for call in calls]

    def uncompiled(self) -> set[Any]:
        """Return the routines of the calls, and the program runner, that are not compiled yet."""
        needed = [routine for call in (*self.calls, *self._checks) for routine in call.routines]
        found: set[Any] = {routine for routine in needed if not routine.is_compiled}
        return found | {native.program_runner} if needed and not native.program_runner.cache_info().currsize else found

    @property
    def repeatable(self) -> bool:
        """Whether all lines are one program, which one call can run many times."""
        return bool(self._body) and all(calls for _, calls in self._body)

    def source(self, results: Sequence[str]) -> str:
        """Return the function's source.

        If all lines are one program, ``run_times(x0, ..., times, step)`` follows, with the program runner's result. If
        all are but copies of the results, and checks were added, ``run_checked(x0, ...)`` follows: it returns what
        ``run`` does, or None if an argument fails its check.
        """
        body, used = self._assembled()
        if self.names.values.setdefault("objects", self._objects) is not self._objects:
            raise ValueError("lines are put together once")
        returned = f"return ({' '.join([f'{result},' for result in results])})"
        after = "\n".join([line for line in (*body, returned) if not line.startswith("#")])
        store_ids = self._store_ids(used)
        lines = [*self._binding(after), *store_ids, *body, returned]
        source = _function("run", self.parameters, lines)
        if self.repeatable and not results:
            call = body[0].removeprefix("if ").partition(", 1, 0)")[0]
            again = [*store_ids, f"return {call}, times, step)"]
            source += _function("run_times", [*self.parameters, "times", "step"], again)
        if self._checks and self._only_copies(results):
            source += _function("run_checked", self.parameters, [*self._checked_lines(), returned])
        return source

    def _store_ids(self, parameters: set[int]) -> list[str]:
        """Return the lines that tell the programs which objects these parameters are."""
        return [f"objects[{i}] = id({self.parameters[i]})" for i in sorted(parameters)]

    def _only_copies(self, results: Sequence[str]) -> bool:
        """Say whether all lines are one program, but for copies of the results, which end them."""
        program = self._body[: len(self._body) - len(self._copies)]
        ends = [text for text, _ in self._body[len(program) :]] == [*self._copies.values()]
        return bool(program) and all(calls for _, calls in program) and ends and {*results} <= {*self._copies}

    def _checked_lines(self) -> list[str]:
        program = Program([*self._checks, *self.calls], self._objects)
        self.names.constant(program)
        failed = f"if {self._call_of(program)}: return None"
        return [*self._store_ids({*range(len(self.parameters))}), failed, *self._copies.values()]

    def _call_of(self, program: Program) -> str:
        return f"{self.names.constant(native.program_runner())}({program.address}, 1, 0)"

    def _assembled(self) -> tuple[list[str], set[int]]:
        """Return the body's lines, and the numbers of the parameters whose data the programs read."""
        lines: list[str] = []
        used: set[int] = set()
        run: list[tuple[str, list[NativeCall]]] = []

        def close() -> None:
            calls = [call for _, made in run for call in made]
            if not calls:
                return
            used.update(word.argument for call in calls for word in call.words if _is_argument(word))
            program = Program(calls, self._objects)
            call = self._call_of(program)
            wrong = "; ".join(call.on_failure for call in calls if call.on_failure)
            lines.append(f"if {call}: {wrong}; raise IndexError('an index is out of bounds')" if wrong else call)
            self.names.constant(program)  # which is to live as long as the function
            lines.extend(f"# {_thread_note(made)}{text}" for text, made in run)
            run.clear()

        for text, calls in self._body:
            if calls:
                run.append((text, calls))
            else:
                close()
                lines.append(text)
        close()
        return lines, used

    def _binding(self, after: str) -> list[str]:
        """Return the lines that make the views of parameters that are used.

        Many views of one parameter are made only if it is not the same object as at the last call.
        """
        lines: list[str] = []
        for parameter, views in reversed(self._views.items()):
            wanted: list[tuple[str, str]] = []
            for name, text in reversed(views):
                if re.search(rf"\b{name}\b", after):
                    wanted.insert(0, (name, text))
                    after = f"{text}\n{after}"
            taken = [text for _, text in wanted]
            if len(wanted) >= MANY_VIEWS:
                names = [f"last_{parameter}", *(name for name, _ in wanted)]
                self.names.values[names[0]] = None
                # Ctrl-C between two views must not leave some of this parameter beside some of the last one.
                again = (f"{names[0]} = None", *taken, f"{names[0]} = {parameter}")
                test = f"if {parameter} is not {names[0]}:"
                taken = [f"global {', '.join(names)}", test, *(f"    {line}" for line in again)]
            lines = [*taken, *lines]
        return lines


def _thread_note(calls: list[NativeCall]) -> str:
    """Return the name of the threads that share a line's calls, for its comment in the source."""
    return f"{team.name()}: " if any(call.is_shared for call in calls) else ""


def _is_argument(word: object) -> bool:
    return isinstance(word, Location) and word.argument is not None


def _function(name: str, parameters: list[str], lines: list[str]) -> str:
    return "\n    ".join([f"def {name}({', '.join(parameters)}):", *lines]) + "\n"
