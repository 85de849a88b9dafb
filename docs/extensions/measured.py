"""Figures that were measured, drawn from the committed files when the site is built: ``{sizes}``, ``{benchmarks}``."""

from __future__ import annotations

import json
import re
import tomllib
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from outer_pages import DOCS, GENERATED, ROOT
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from benchmarks import report
from benchmarks.peers import PEERS
from benchmarks.work import FOR_GPUS, INFERENCE, TRAINING

SIZES = DOCS / "sizes.json"
RESULTS = ROOT / "benchmarks" / "results"
PICTURE = GENERATED / "benchmarks.png"

Found = dict[str, Any]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("sizes", Sizes)
    app.add_directive("benchmarks", Benchmarks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class Measured(SphinxDirective):
    """A directive whose content is Markdown that it writes itself."""

    @abstractmethod
    def markdown(self) -> Iterable[str]:
        """Return the lines."""

    @abstractmethod
    def sources(self) -> Iterable[Path]:
        """Return the files that they are made of."""

    def run(self) -> list[nodes.Node]:
        for path in self.sources():
            self.env.note_dependency(str(path))
        place = nodes.Element()
        lines = "\n".join(self.markdown()).splitlines()
        self.state.nested_parse(StringList(lines, self.env.doc2path(self.env.docname)), self.content_offset, place)
        return place.children


def table(head: Iterable[str], rows: Iterable[Iterable[str]], numbers: bool = True) -> str:
    """Write a Markdown table; all columns but the first hold numbers."""
    head = list(head)
    rule = ["---", *("--:" if numbers else "---" for _ in head[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


class Sizes(Measured):
    """What each extra takes on disk."""

    def sources(self) -> Iterable[Path]:
        return [SIZES]

    def markdown(self) -> Iterator[str]:
        found = json.loads(SIZES.read_text(encoding="utf-8"))
        extras, machine = found["extras"], found["machine"]
        own = extras["core"]["packages"]
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        asked = {  # what an extra is for stands before what that needs in turn
            extra: tuple(re.split(r"[\[>=]", requirement)[0] for requirement in requirements)
            for extra, requirements in project["optional-dependencies"].items()
        }
        rows = []
        for extra in ("core", *project["optional-dependencies"]):
            name = "(none)" if extra == "core" else f"`{extra}`"
            if extra not in extras:
                rows.append([name, "not measured", ""])
                continue
            measured = extras[extra]
            brought = [
                f"{name} {version}"
                for name, version in measured["packages"].items()
                if extra == "core" or name not in own
            ]
            brought.sort(key=lambda package: not package.partition(" ")[0].startswith(asked.get(extra, ())))
            most = ", ".join(brought[:4]) + (f" and {len(brought) - 4} more" if len(brought) > 4 else "")
            rows.append([name, f"{measured['bytes'] / 1e6:,.0f} MB", most])
        yield table(["extra", "on disk", "what it brings"], rows, numbers=False)
        yield ""
        dates = sorted({found["date"] for found in extras.values()})
        days = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
        forced = f", with {', '.join(machine['constraints'])}" if machine["constraints"] else ""
        yield (
            f"What each extra alone adds to a fresh environment: {machine['system']}, "
            f"Python {machine['python']}, {days}{forced}. The sizes hold what every installation has: "
            f"{', '.join(name for name in own if name != 'xpnet')}, xpnet itself, and Python's compiled files."
        )


class Benchmarks(Measured):
    """The newest results, as a picture and tables."""

    option_spec: ClassVar = {
        "part": lambda argument: directives.choice(argument, ("works", "steps", "aims", "rest", "files"))
    }

    def sources(self) -> Iterable[Path]:
        return RESULTS.glob("*.json")

    def markdown(self) -> Iterator[str]:
        path, results = newest()
        yield from getattr(self, f"_{self.options['part']}")(path, results)

    def _works(self, path: Path, results: Found) -> Iterator[str]:
        rows = []
        for name in (name for name in TRAINING if name not in FOR_GPUS):
            work = TRAINING[name]
            parts = [work.activation]
            parts += [f"dropout {work.dropout}"] * bool(work.dropout) + ["batch norm"] * work.batch_norm
            rows.append([name, "-".join(map(str, work.sizes)), ", ".join(parts), work.optimizer, f"{work.batch:,}"])
        yield table(["name", "network", "with", "optimizer", "batch"], rows, numbers=False)
        yield ""
        yield from (
            f"- *{name}*: {calls.work.name}, a call with {calls.rows:,} {'row' if calls.rows == 1 else 'rows'}"
            + (", images of MNIST's digits" if calls.inputs == "digits" else "")
            for name, calls in INFERENCE.items()
            if name not in FOR_GPUS
        )

    def _steps(self, path: Path, results: Found) -> Iterator[str]:
        machine = results["machine"]
        versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
        yield f"From [{path.name}]({relative(path)}), revision {machine['revision']} of {machine['date']}:"
        yield f"{machine['processor']}, {machine['cores']} cores, threads: {machine['threads']}; {machine['system']};"
        yield f"Python {machine['python']}; {versions}. Load average {machine['load_before'][0]:.2f} before,"
        yield f"{machine['load_after'][0]:.2f} after; {machine['rounds']} rounds of {machine['round_seconds']} s."
        yield ""
        for kinds, unit in ((TRAINING, "Microseconds a training step"), (INFERENCE, "Microseconds a prediction")):
            works = [work for work in results["works"] if work in kinds]
            if works:
                yield from ("", f"{unit}, median; the lowest of a column is set bold:", "", medians(results, works), "")
        if report.picture(results, PICTURE):
            place = relative(PICTURE)
            yield f"[![Every peer's time, a panel for each network]({place})]({place})"

    def _aims(self, path: Path, results: Found) -> Iterator[str]:
        rows = [
            [row["aim"], f"{row['figure']:.3g}", f"{row['bound']:.3g}", "yes" if row["met"] else "**no**"]
            for row in results["reach"]
        ]
        yield table(["aim", "figure", "at most", "met"], rows)

    def _rest(self, path: Path, results: Found) -> Iterator[str]:
        yield from ("```text", report.text(results), "```")

    def _files(self, path: Path, results: Found) -> Iterator[str]:
        for other in sorted(RESULTS.glob("*.json")):
            yield f"- [{other.name}]({relative(other)})"


def newest() -> tuple[Path, Found]:
    """Return the results that were measured last."""
    read = {path: json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))}
    whole = {path: found for path, found in read.items() if "works" in found and not found["machine"]["quick"]}
    path = max(whole, key=lambda path: (whole[path]["machine"]["date"], path.name))
    return path, whole[path]


def medians(results: Found, works: list[str]) -> str:
    found = {work: {peer: r["median"] for peer, r in results["works"][work]["peers"].items()} for work in works}
    rivals = {work: [value for peer, value in found[work].items() if peer != "limit"] for work in works}
    rows = []
    for peer in (peer for peer in PEERS if any(peer in found[work] for work in works)):
        cells = []
        for work in works:
            value = found[work].get(peer)
            text = "" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
            cells.append(f"**{text}**" if value == min(rivals[work]) else text)
        rows.append([report.title_of(peer, works[0]), *cells])
    return table(["", *works], rows)


def relative(path: Path) -> str:
    """Return a path as a link from a page in the folder of pages."""
    return path.relative_to(DOCS).as_posix() if path.is_relative_to(DOCS) else f"../{path.relative_to(ROOT).as_posix()}"
