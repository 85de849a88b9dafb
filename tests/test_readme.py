"""The code in the README and in every page of docs/ is executed, page by page, from top to bottom."""

from __future__ import annotations

import ast
import doctest
import json
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

import xpnet
from xpnet import callbacks, initializers, losses, metrics, nn, optimizers
from xpnet.layers.names import NAMES as layer_names

ROOT = Path(__file__).parent.parent
BUILT = {"api", "gallery", "generated"}  # what building the site leaves in docs/
DOCS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "docs").rglob("*.md")
    if path.relative_to(ROOT / "docs").parts[0] not in BUILT
)
TEXTS = ["README.md", "backends/README.md", *DOCS, "CONTRIBUTING.md", "CHANGELOG.md", "examples/RESULTS.md"]
PAGES = ["README.md", *(page for page in DOCS if page != "docs/shell.md")]  # tests/test_cli_page.py runs the shell's
HIDDEN_NEEDS = {
    '"array-api-strict"': "array_api_strict",
    "xpnet.sklearn": "sklearn",
    "plotting.": "matplotlib",
    "xpnet.TensorBoard(": "tensorboardX",
    ".to_onnx(": "onnx",
    '"KERAS_BACKEND", "jax"': "jax",
}
"""What a page needs without importing it, by the text that tells so."""
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FENCE = re.compile(r"^ *(```+|~~~+|:::+)\{?(\w*)", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, *languages: str) -> list[tuple[str, str, int]]:
    """Return (language, code, line) of each fenced block in these languages."""
    content = text(page)
    found = BLOCK.finditer(content)
    return [(m[1], m[2], content.count("\n", 0, m.start()) + 1) for m in found if m[1] in languages]


def execute(page: str, chosen: list[tuple[str, str, int]], names: dict[str, Any]) -> None:
    """Run blocks in one namespace; a failure points at the line of the page."""
    for language, code, line in chosen:
        if language == "python":
            exec(compile("\n" * line + code, page, "exec"), names)
            continue
        example = doctest.DocTestParser().get_doctest(code, names, f"{page}:{line}", page, line)
        report: list[str] = []
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.REPORT_NDIFF)
        failed, _ = runner.run(example, out=report.append, clear_globs=False)
        assert not failed, "".join(report)
        names |= example.globs


def runnable(page: str) -> list[tuple[str, str, int]]:
    return blocks(page, "python", "pycon")


def imports(page: str) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports in a page's code."""
    for language, code, _ in runnable(page):
        if language == "pycon":
            code = "".join(example.source for example in doctest.DocTestParser().get_examples(code))
        yield from (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import | ast.ImportFrom))


def needed(page: str) -> set[str]:
    """Return the modules without which a page cannot run: those it imports, and those behind xpnet's own doors."""
    found = {module for _, code, _ in runnable(page) for sign, module in HIDDEN_NEEDS.items() if sign in code}
    for node in imports(page):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [str(node.module)]
        found |= {module.partition(".")[0] for module in modules}
    return found - sys.stdlib_module_names - {"xpnet"}


@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)])
def test_the_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")  # else Keras cannot be imported without TensorFlow
    for module in needed(page):
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    execute(page, runnable(page), {"__name__": "__main__"})


IMPORTED = {"strict": "array_api_strict", "plot": "matplotlib", "tensorboard": "tensorboardX"}
"""What is imported of an extra, where its name differs."""


@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)])
def test_a_page_says_at_its_top_what_its_code_needs(page: str) -> None:
    said = re.findall(r"All code on this page runs after `pip install (.*?)`", text(page).partition("```python")[0])
    assert len(said) == text(page).count("All code on this page") <= 1
    extras, others = re.fullmatch(r"'\.\[(.*)\]'(.*)", said[0]).groups() if said else ("", "")  # type: ignore[union-attr]
    installed = {IMPORTED.get(extra, extra) for extra in extras.split(",") if extra} | set(others.split())
    assert installed == needed(page) - {"numpy"}


@pytest.mark.parametrize("page", TEXTS)
def test_no_python_hides_from_the_tests(page: str) -> None:
    """Python code stands in a fence of three backticks at the start of a line, so that it is found and executed."""
    fences = FENCE.finditer(text(page))
    assert sum(fence[2] in ("py", "python", "python3", "pycon", "code", "doctest") for fence in fences) == len(
        runnable(page)
    )


@pytest.mark.parametrize("page", [page for page in TEXTS if runnable(page)])
def test_what_a_page_imports_is_in_the_reference(page: str) -> None:
    """docs/promises.md says that other names may change; the lists are read as text, as their module needs Sphinx."""
    tree = ast.parse(text("docs/extensions/reference_pages.py"))
    lists = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in ("CONTRACTS", "PARTS", "COMPANIONS")
    }
    whole = {*lists["CONTRACTS"], *lists["COMPANIONS"]}
    for node in imports(page):
        if isinstance(node, ast.Import):
            modules = [alias.name.removeprefix("xpnet.") for alias in node.names if alias.name.startswith("xpnet.")]
            assert whole >= set(modules)
            continue
        package, _, module = str(node.module).partition(".")
        names = {alias.name for alias in node.names}
        if package != "xpnet":
            continue
        if not module:
            assert names <= {*xpnet.__all__, *whole}
        elif module in whole:
            if module == "sklearn":
                pytest.importorskip("sklearn")
            assert names <= set(import_module(f"xpnet.{module}").__all__)
        else:
            assert names <= set(lists["PARTS"].get(module, ("", ()))[1])


def test_the_readme_s_tour_is_short_and_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tour,) = blocks("README.md", "python")
    assert len([line for line in tour[1].splitlines() if line.strip()]) <= 24
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    execute("README.md", [tour], names)
    assert names["net"].evaluate(names["x_test"], names["y_test"])["accuracy"] > 0.9
    served, net = names["served"], names["net"]
    assert served.evaluate(names["x_test"], names["y_test"]) == net.evaluate(names["x_test"], names["y_test"])


def test_the_backend_of_an_afternoon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guide's module and its pyproject.toml, installed as pip would lay them out, open and train."""
    (module, use), (project,) = blocks("backends/README.md", "python"), blocks("backends/README.md", "toml")
    described = tomllib.loads(project[1])["project"]
    name, entries = described["name"].replace("-", "_"), described["entry-points"]["xpnet.backends"]
    (tmp_path / f"{name}.py").write_text(module[1], encoding="utf-8")
    info = tmp_path / f"{name}-{described['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {described['version']}\n")
    listed = "".join(f"{key} = {value}\n" for key, value in entries.items())
    (info / "entry_points.txt").write_text(f"[xpnet.backends]\n{listed}")
    monkeypatch.syspath_prepend(str(tmp_path))
    execute("backends/README.md", [use], {})


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_somewhere(page: str) -> None:
    for link in LINK.findall(text(page)):
        target, _, anchor = link.partition("#")
        if target.startswith("https://"):
            continue
        place = (ROOT / page).parent / target if target else ROOT / page
        if page.startswith("docs/") and Path(target).parts[:1] and Path(target).parts[0] in BUILT:
            continue  # the build of the site makes it, and fails where it is missing
        assert place.exists(), f"{page} links to {link}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", place.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings]


def test_the_readme_s_commands_exist() -> None:
    commands = [code for _, code, _ in blocks("README.md", "sh")]
    assert [command.split()[-1] for command in commands] == ["examples/digits.py", ".venv/bin/nox"]
    for word in shlex.split(" ".join(commands)):
        assert not word.endswith(".py") or (ROOT / word).is_file()
    assert (ROOT / "noxfile.py").is_file()


@pytest.mark.parametrize("page", TEXTS)
def test_a_command_installs_extras_that_exist_from_the_checkout(page: str) -> None:
    assert "xpnet[" not in text(page), "xpnet is on no index"
    extras = tomllib.loads(text("pyproject.toml"))["project"]["optional-dependencies"]
    for named in re.findall(r"'\.\[([\w,-]+)\]'", text(page)):
        assert set(named.split(",")) <= set(extras)


def test_the_readme_names_every_backend_and_extra() -> None:
    project = tomllib.loads(text("pyproject.toml"))["project"]
    page = text("README.md")
    named = set(re.findall(r'^\| `"([\w-]+)"` \|', page, re.MULTILINE))
    assert named == set(project["entry-points"]["xpnet.backends"])
    for extra in project["optional-dependencies"]:
        assert extra.removesuffix("-ctk") in page
    assert project["version"] == xpnet.__version__
    assert f"## [{xpnet.__version__}]" in text("CHANGELOG.md")


def test_the_readme_s_figures_are_those_of_the_results_that_it_names() -> None:
    (limits,) = re.findall(r"^- No speed is promised.*?(?=^-|^#)", text("README.md"), re.MULTILINE | re.DOTALL)
    (source,) = re.findall(r"\(benchmarks/results/(.*?)\)", limits)
    works = json.loads(text(f"benchmarks/results/{source}"))["works"].values()
    medians = [{peer: result["median"] for peer, result in found["peers"].items()} for found in works]
    trained = [found for found in medians if "xpnet-fit" in found]
    torch = ("torch", "torch-fused", "torch-compile")
    rivals = (*torch, "keras", "sklearn", "jax-step")

    def span(ours: str, theirs: tuple[str, ...]) -> str:
        shares = [found[ours] / min(found[peer] for peer in theirs if peer in found) for found in trained]
        return f"{min(shares):.2f} to {max(shares):.2f}"

    said = " ".join(limits.split())
    assert len(trained) == 9
    assert f"a training step took {span('xpnet', rivals)} of the time of the fastest" in said
    assert f"with shuffling and accuracy, {span('xpnet-fit', rivals)}." in said
    assert f"compared with that, `fit` took {span('xpnet-fit', ('jax-loop',))} of the time." in said
    assert f"Without extras `fit` took {span('xpnet-core', torch)} of the time of PyTorch alone" in said
    assert f"and {span('xpnet-core', rivals)} of that of the fastest of all." in said


def test_the_guide_has_every_name_that_may_be_given_as_text() -> None:
    kinds = {
        "layers": layer_names,
        "first weights": initializers.NAMES,
        "losses": losses.NAMES,
        "optimizers": optimizers.NAMES,
        "metrics": metrics.NAMES,
        "callbacks": callbacks.NAMES,
    }
    guide = (ROOT / "docs" / "guide.md").read_text()
    for kind, names in kinds.items():
        assert f"| {kind} | {', '.join(f'`{name}`' for name in names)} |" in guide


def test_the_page_about_layers_has_every_operation_with_its_arguments() -> None:
    page = text("docs/own_layer.md")
    _, _, part = page.partition("## What `context.xp.nn` has")
    part = part.partition("\n## ")[0]
    told = re.findall(r"^\| `(\w+\(.*?\))` \|", part, re.MULTILINE)
    signatures = {name: f"{name}({', '.join([*signature(getattr(nn, name)).parameters][1:])})" for name in nn.__all__}
    (others,) = re.findall(r"of\. (.*?) are there for the library's own parts", " ".join(part.split()))
    own = set(re.findall(r"`(\w+)`", others))
    assert own < set(nn.__all__)
    assert sorted(told) == sorted(text for name, text in signatures.items() if name not in own)
