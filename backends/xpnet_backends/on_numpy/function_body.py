"""The lines of a written function: Python, or calls, of which those that follow each other become one program."""

from __future__ import annotations

import re
from array import array
from typing import Any

from xpnet_backends.on_numpy import native, team
from xpnet_backends.on_numpy.naming import Names
from xpnet_backends.on_numpy.native import Location, NativeCall, Program

__all__ = ["FunctionBody"]

MANY_VIEWS = 3
"""Views of one parameter from which they are kept for the next call, as it is likely that all weights lie in it."""


class FunctionBody:
    """Collects lines, and puts them together as ``run(x0, x1, ...)``, for which what calls need is compiled.

    They are *silent* where none can raise one of NumPy's floating-point warnings.
    """

    def __init__(self, names: Names, parameters: int) -> None:
        self.names = names
        self.parameters = [f"x{i}" for i in range(parameters)]
        self._body: list[tuple[str, list[NativeCall]]] = []
        self.is_silent = True
        self._views: dict[str, list[tuple[str, str]]] = {name: [] for name in self.parameters}

    def add(self, text: str, *calls: NativeCall | None) -> None:
        """Add a line that does what *calls* do, if they all could be made."""
        made = [call for call in calls if call is not None]
        self._body.append((text, made if len(made) == len(calls) else []))
        self.is_silent = self.is_silent and bool(self._body[-1][1])

    def add_copy(self, name: str, source: str) -> None:
        """Add a line that names a copy."""
        self._body.append((f"{name} = {source}.copy()", []))

    def add_view(self, parameter: str, name: str, text: str) -> None:
        """Add a line that looks at a parameter's form alone, and so can stand before all others."""
        self._views[parameter].append((name, text))

    @property
    def calls(self) -> list[NativeCall]:
        """All calls, in order."""
        return [call for _, calls in self._body for call in calls]

    def uncompiled(self) -> set[Any]:
        """Return what calls need that is not compiled yet."""
        needed = [routine for call in self.calls for routine in call.routines]
        found: set[Any] = {routine for routine in needed if not routine.is_compiled}
        return found | {native.program_runner} if needed and not native.program_runner.cache_info().currsize else found

    @property
    def repeatable(self) -> bool:
        """Whether all is one program, which can be run many times by one call."""
        return bool(self._body) and all(calls for _, calls in self._body)

    def source(self, results: str) -> str:
        """Return the function's source.

        Where all is one program, so is ``run_times``, which takes times and step, too, and returns what perform does.
        """
        objects = array("q", [0] * len(self.parameters))
        body, used = self._assembled(objects)
        told = [f"objects[{i}] = id({self.parameters[i]})" for i in sorted(used)]
        if self.names.values.setdefault("objects", objects) is not objects:
            raise ValueError("lines are put together once")
        after = "\n".join([line for line in (*body, results) if not line.startswith("#")])
        lines = [*self._binding(after), *told, *body, f"return ({results})"]
        source = _function("run", self.parameters, lines)
        if self.repeatable and not results:
            call = body[0].removeprefix("if ").partition(", 1, 0)")[0]
            again = [*told, f"return {call}, times, step)"]
            source += _function("run_times", [*self.parameters, "times", "step"], again)
        return source

    def _assembled(self, objects: array[int]) -> tuple[list[str], set[int]]:
        """Return the body's lines, and the numbers of the parameters whose data calls look for."""
        lines: list[str] = []
        used: set[int] = set()
        run: list[tuple[str, list[NativeCall]]] = []

        def close() -> None:
            calls = [call for _, made in run for call in made]
            if not calls:
                return
            used.update(word.argument for call in calls for word in call.words if _is_argument(word))
            program = Program(calls, objects)
            call = f"{self.names.constant(native.program_runner())}({program.address}, 1, 0)"
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
        """Return the lines that take those views of parameters that are used.

        Many of one parameter are taken where it is another than at the last call.
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
    """Return what stands before a remark on calls that threads share."""
    return f"{team.name()}: " if any(call.is_shared for call in calls) else ""


def _is_argument(word: object) -> bool:
    return isinstance(word, Location) and word.argument is not None


def _function(name: str, parameters: list[str], lines: list[str]) -> str:
    return "\n    ".join([f"def {name}({', '.join(parameters)}):", *lines]) + "\n"
