"""The API reference, written from what the modules say is public, and held to be complete.

Every name of ``xpnet.__all__``, of PARTS and of each module in CONTRACTS is in it, on the page of its subject. Where
one is missing from the finished site, the build ends with a warning, and so in failure.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from docutils import nodes
from outer_pages import DOCS, write
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer
from sphinx.util import logging

import xpnet

SUBJECTS = {
    "network": ("Network", ("network", "history", "checkpoint")),
    "layers": ("Layers", ("layers", "parameters")),
    "initializers": ("Initializers", ("initializers",)),
    "losses": ("Losses", ("losses",)),
    "optimizers": ("Optimizers and links of a chain", ("optimizers",)),
    "schedules": ("Learning-rate schedules", ("schedules",)),
    "callbacks": ("Callbacks", ("callbacks",)),
    "metrics": ("Metrics and reports", ("metrics",)),
    "data": ("Data and scaling", ("data", "scaling")),
    "datasets": ("Datasets", ("datasets",)),
    "backends": ("Backends", ("backend",)),
    "errors": ("Errors", ("errors",)),
}
"""Page: title, and the modules whose names among ``xpnet.__all__`` it holds. Others get a page of their own."""

CONTRACTS = {
    "backend": "What a backend is",
    "nn": "The operations that a backend may replace",
    "layers.base": "What a layer is",
    "parameters": "Parameters and their flat layout",
    "initializers": "What an initializer is",
    "losses.base": "What a loss is",
    "optimizers.base": "What an optimizer is",
    "optimizers.chaining": "What chain() returns",
    "schedules": "What a schedule is",
    "metrics.streaming": "What a metric is",
    "targets": "Targets of a loss",
    "random": "Random numbers",
    "training": "The training step",
    "testing": "Checks for parts of your own",
}
"""Modules for those who write a part of their own: everything in their ``__all__`` is documented."""

PARTS = {"checkpoint": ("Model files with notes", ("save", "read_notes"))}
"""Modules of which these names alone are public, beside those of ``xpnet.__all__``."""

COMPANIONS = ("sklearn", "plotting", "onnx", "tensorboard")
"""Public modules beside the core, each with a page where it exists and what it needs is installed."""

BACKENDS = ("on_numpy", "on_cupy", "on_torch", "on_jax", "on_strict")

REFERENCE = DOCS / "api"
BEFORE_OTHERS = 400
logger = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", write_reference)
    app.connect("autodoc-skip-member", skip_foreign)
    app.connect("autodoc-process-docstring", escape_docstring, priority=BEFORE_OTHERS)
    app.connect("doctree-read", add_anchors, priority=BEFORE_OTHERS)
    app.connect("env-check-consistency", check_all_names_are_there)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write_reference(app: Sphinx) -> None:
    REFERENCE.mkdir(exist_ok=True)
    pages = dict(subject_pages()) | dict(companion_pages())
    pages["contracts"] = page("Contracts, for parts of your own", contract_sections())
    pages["backend_modules"] = page("The backends' modules", backend_sections())
    listed = "\n".join(f"   {name}" for name in pages)
    pages["index"] = (
        f"API reference\n=============\n\n{INTRODUCTION}\n\n.. toctree::\n   :maxdepth: 1\n\n{listed}\n\n"
        f".. py:data:: xpnet.__version__\n\n   The version, as text.\n\n"
        f"Every public name\n-----------------\n\n{table_of_names()}"
    )
    for old in set(REFERENCE.glob("*.rst")) - {REFERENCE / f"{name}.rst" for name in pages}:
        old.unlink()
    for name, text in pages.items():
        write(REFERENCE / f"{name}.rst", text)


INTRODUCTION = """\
Every public name of the core is an attribute of ``xpnet``; it is imported when it is first asked for. What stands on
the pages *contracts* and *backends' modules* is public, too, under its module's name."""


def subject_pages() -> Iterator[tuple[str, str]]:
    """Yield a page for each subject, and for each module that no subject names."""
    named = {module for _, modules in SUBJECTS.values() for module in modules}
    others = {home: (home.capitalize(), (home,)) for home in xpnet._HOMES if home not in named}
    for name, (title, modules) in (SUBJECTS | others).items():
        homes = [home for home in modules if home in xpnet._HOMES]
        yield name, page(title, (entry(f"xpnet.{public}") for home in homes for public in ordered(home)))


def ordered(home: str) -> list[str]:
    """Return a module's public names in the order of its source, which is that of its thought."""
    names = xpnet._HOMES[home].split()

    def place(name: str) -> tuple[str, int]:
        value = getattr(xpnet, name)
        return inspect.getsourcefile(value) or "", inspect.getsourcelines(value)[1]

    return sorted(names, key=place)


def companions() -> list[str]:
    """Return the companions that there are; one whose names are attributes of ``xpnet`` has a page by that."""
    return [name for name in COMPANIONS if name not in xpnet._HOMES and find_spec(f"xpnet.{name}") is not None]


def companion_pages() -> Iterator[tuple[str, str]]:
    for name in companions():
        module = import_module(f"xpnet.{name}")
        entries = (entry(f"{module.__name__}.{public}") for public in module.__all__)
        yield name, page(module.__name__, [f".. automodule:: {module.__name__}\n", *entries])


def contract_sections() -> Iterator[str]:
    for name, title in CONTRACTS.items():
        module = import_module(f"xpnet.{name}")
        known = set(xpnet.__all__)
        yield f"{title}\n{'-' * len(title)}\n\n.. automodule:: {module.__name__}\n"
        yield from (entry(f"{module.__name__}.{public}") for public in module.__all__ if public not in known)
    for name, (title, names) in PARTS.items():
        yield f"{title}\n{'-' * len(title)}\n"
        yield from (entry(f"xpnet.{name}.{public}") for public in names)


def backend_sections() -> Iterator[str]:
    yield "Each has the four names of :class:`xpnet.backend.BackendModule`: how to write one is told in\n"
    yield ":doc:`/generated/own_backend`.\n"
    for name in BACKENDS:
        yield f"{name}\n{'-' * len(name)}\n"
        yield f".. automodule:: xpnet_backends.{name}\n   :members: open, version, devices\n"


def skip_foreign(app: Sphinx, what: str, name: str, member: object, skip: bool, options: object) -> bool | None:
    """Leave out what a class has inherited from another library: that one's own reference describes it."""
    home = getattr(getattr(member, "fget", member), "__module__", None)
    return True if isinstance(home, str) and home.partition(".")[0] not in ("xpnet", "xpnet_backends") else None


def escape_docstring(app: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]) -> None:
    """Docstrings are written to be read as they are: |z| and (batch, *shape) are no markup in them."""
    code = False
    for i, line in enumerate(lines):
        code = line.lstrip().startswith(">>>") or (code and bool(line.strip()))
        if not code:
            lines[i] = escaped(line)


def escaped(line: str) -> str:
    """Take the meaning from stars before a word and from bars, but not within backticks."""
    parts = re.split(r"(`+[^`]*`+)", line)
    parts[::2] = [re.sub(r"\*(?=\w[\w.]*[,)\]])|\|", r"\\\g<0>", part) for part in parts[::2]]
    return "".join(parts)


def add_anchors(app: Sphinx, doctree: nodes.document) -> None:
    """Let the pages of source lead back to each name both under ``xpnet`` and under the module it lives in."""
    for signature in doctree.findall(addnodes.desc_signature):
        name = signature.get("fullname", "")
        public = name.partition(".")[0]
        homes = ["xpnet"]
        if public in xpnet._HOME_OF:
            homes += [f"xpnet.{xpnet._HOME_OF[public]}", getattr(xpnet, public).__module__]
        new = dict.fromkeys(f"{home}.{name}" for home in homes)
        signature["ids"] += [anchor for anchor in new if anchor not in doctree.ids]
        if signature.parent["objtype"] == "data":
            signature["module"] = ""  # an alias's module is that of the type that it stands for


def page(title: str, parts: Any) -> str:
    return f"{title}\n{'=' * len(title)}\n\n" + "\n".join(parts)


def entry(name: str) -> str:
    """Return the directive for a class, a function or a value, by its public name."""
    value = getattr(import_module(name.rpartition(".")[0]), name.rpartition(".")[2])
    if inspect.isfunction(value):
        return f".. autofunction:: {name}\n"
    if inspect.isclass(value):
        kind = "autoexception" if issubclass(value, BaseException) else "autoclass"
        return f".. {kind}:: {name}\n   :members:\n   :inherited-members: {BUILT_IN}\n"
    return described_value(name, value)


def described_value(name: str, value: object) -> str:
    """Return the directive for a number or a type's alias, described by the text below it in its source."""
    module, _, short = name.rpartition(".")
    lines = ModuleAnalyzer.for_module(module).find_attr_docs().get(("", short), [])
    return f".. py:data:: {short}\n   :module: {module}\n   :value: {value}\n\n" + "".join(
        f"   {escaped(line)}\n" for line in lines
    )


BUILT_IN = "Exception, ValueError, TypeError, RuntimeError, OSError, tuple, Protocol, BaseException, str, object"
"""Whose members need no describing here."""


def table_of_names() -> str:
    """Return a list of all public names with the first line of each one's docstring."""
    rows = []
    for name in sorted(set(xpnet.__all__) - {"__version__"}, key=str.casefold):
        role = "func" if inspect.isfunction(getattr(xpnet, name)) else "class"
        first = (inspect.getdoc(getattr(xpnet, name)) or "").partition("\n")[0]
        rows.append(f":py:{role}:`xpnet.{name}`\n    {escaped(first)}\n")
    return "\n".join(rows)


def public_names() -> set[str]:
    """Return every name that the reference has to hold, as it is written there."""
    names = {f"xpnet.{name}" for name in xpnet.__all__}
    for module in (import_module(f"xpnet.{name}") for name in CONTRACTS):
        names |= {full_name(module, name) for name in module.__all__}
    names |= {f"xpnet.{name}.{public}" for name, (_, publics) in PARTS.items() for public in publics}
    for name in companions():
        names |= {f"xpnet.{name}.{public}" for public in import_module(f"xpnet.{name}").__all__}
    return names | {f"xpnet_backends.{name}.{part}" for name in BACKENDS for part in ("open", "version", "devices")}


def full_name(module: ModuleType, name: str) -> str:
    return f"xpnet.{name}" if name in xpnet.__all__ else f"{module.__name__}.{name}"


def check_all_names_are_there(app: Sphinx, env: BuildEnvironment) -> None:
    present = set(env.domains.python_domain.objects)
    for name in sorted(public_names() - present):
        logger.warning("the API reference lacks the public name %s", name)
