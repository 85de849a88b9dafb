"""Mutants of a module: its source with one small mistake in it, planted in the functions that run.

A mistake is of a kind that people make in gradients: a sign, a swapped or forgotten operand, a factor, a comparison, a
constant, a transposition, a reduction over the wrong axis, a step left out. Messages, docstrings and annotations
are left alone.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType
from typing import Any

OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult}
COMPARISONS = {
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
FUNCTIONS = {
    "maximum": "minimum",
    "minimum": "maximum",
    "max": "min",
    "min": "max",
    "sum": "mean",
    "mean": "sum",
    "exp": "expm1",
    "expm1": "exp",
    "log": "log1p",
    "log1p": "log",
    "cos": "sin",
    "floor": "ceil",
    "zeros": "ones",
    "ones": "zeros",
    "zeros_like": "ones_like",
    "argmax": "argmin",
    "sigmoid": "softplus",
    "softmax": "log_softmax",
}
WRAPPERS = {"matrix_transpose", "sign", "abs", "sqrt"}
"""Functions of one array whose call may be left out."""


@dataclass(frozen=True)
class Mutant:
    """One mistake: where it is, in which class or function, and what it is."""

    line: int
    owner: str
    what: str
    plain: ast.Module
    place: int = 0
    change: Callable[[Any], ast.AST] | None = None

    def tree(self) -> ast.Module:
        """Return the module with the mistake in it."""
        tree = copy.deepcopy(self.plain)
        if self.change is not None:
            parent, field, index, child = list(_fields(tree))[self.place]
            if index is None:
                setattr(parent, field, self.change(child))
            else:
                getattr(parent, field)[index] = self.change(child)
        return ast.fix_missing_locations(tree)


def unchanged(source: str) -> Mutant:
    """Return the module without a mistake: planted, it must be noticed by no test."""
    return Mutant(0, "", "nothing", ast.parse(source))


def mutants(source: str) -> Iterator[Mutant]:
    """Yield every mutant of a module, in the order of its lines."""
    plain = ast.parse(source)
    for place, (*_, node) in enumerate(_fields(plain)):
        for what, change in _mistakes(node):
            after = change(copy.deepcopy(node))
            line = getattr(node, "lineno", 0)
            yield Mutant(line, _owner(plain, line), f"{what}: {_text(node)}  ->  {_text(after)}", plain, place, change)


def _owner(tree: ast.Module, line: int) -> str:
    """Return the name of the class or function of the module that *line* belongs to."""
    around = [node for node in tree.body if node.lineno <= line <= (node.end_lineno or line)]
    return getattr(around[0], "name", "") if around else ""


def _text(node: ast.AST) -> str:
    return ast.unparse(node).replace("\n", "; ")[:90]


def _fields(node: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    """Yield (parent, field, index, child) below a node, leaving out what is not computed."""
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom):
        return
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "bases", "ctx", "op", "ops"):
            continue
        children = value if isinstance(value, list) else [value]
        for i, child in enumerate(children):
            if isinstance(child, ast.AST) and not _skipped(child):
                yield node, field, i if isinstance(value, list) else None, child
                yield from _fields(child)


def _skipped(node: ast.AST) -> bool:
    if isinstance(node, ast.Assign) and _text(node.targets[0]) in ("__all__", "Updated"):
        return True
    if isinstance(node, ast.If) and "TYPE_CHECKING" in _text(node.test):
        return True
    if isinstance(node, ast.ClassDef) and any("Protocol" in _text(base) for base in node.bases):
        return True
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


Mistake = tuple[str, Callable[[Any], ast.AST]]


def _mistakes(node: ast.AST) -> Iterator[Mistake]:
    """Yield what can be made wrong about one node."""
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        yield "another operator", lambda n: ast.BinOp(n.left, OPERATORS[type(n.op)](), n.right)
        yield "only the left operand", lambda n: n.left
        if not isinstance(node.op, ast.Div | ast.Pow):
            yield "only the right operand", lambda n: n.right
        if not isinstance(node.op, ast.Add | ast.Mult):
            yield "swapped operands", lambda n: ast.BinOp(n.right, n.op, n.left)
    elif isinstance(node, ast.AugAssign) and type(node.op) in OPERATORS:
        yield "another operator", lambda n: ast.AugAssign(n.target, OPERATORS[type(n.op)](), n.value)
        yield "a step left out", lambda n: ast.Pass()
    elif isinstance(node, ast.UnaryOp):
        yield "no sign", lambda n: n.operand
    elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARISONS:
        for other in COMPARISONS[type(node.ops[0])]:
            yield "another comparison", lambda n, other=other: ast.Compare(n.left, [other()], n.comparators)
    elif isinstance(node, ast.BoolOp):
        yield "another connective", lambda n: ast.BoolOp(ast.Or() if isinstance(n.op, ast.And) else ast.And(), n.values)
    elif isinstance(node, ast.IfExp):
        yield "swapped branches", lambda n: ast.IfExp(n.test, n.orelse, n.body)
    elif isinstance(node, ast.If):
        yield "the opposite condition", lambda n: ast.If(ast.UnaryOp(ast.Not(), n.test), n.body, n.orelse)
    elif isinstance(node, ast.Constant):
        yield from _constants(node.value)
    elif isinstance(node, ast.Call):
        yield from _calls(node)


def _constants(value: object) -> Iterator[Mistake]:
    if isinstance(value, bool):
        yield "the opposite", lambda n: ast.Constant(not n.value)
    elif isinstance(value, int):
        yield "one more", lambda n: ast.Constant(n.value + 1)
    elif isinstance(value, float):
        yield "another number", lambda n: ast.Constant(2.0 * n.value if n.value else 1.0)


def _calls(node: ast.Call) -> Iterator[Mistake]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    owner = _text(node.func.value) if isinstance(node.func, ast.Attribute) else ""
    if not owner.endswith(("xp", ".nn")):
        return
    if name in FUNCTIONS:
        yield (
            "another function",
            lambda n: ast.Call(ast.Attribute(n.func.value, FUNCTIONS[n.func.attr], ast.Load()), n.args, n.keywords),
        )
    if name in WRAPPERS:
        yield "the argument itself", lambda n: n.args[-1]
    if name in ("where", "linear", "linear_backward", "matmul", "sigmoid_cross_entropy", "softmax_cross_entropy"):
        yield "swapped arguments", lambda n: ast.Call(n.func, [*n.args[:-2], n.args[-1], n.args[-2]], n.keywords)


def plant(module: ModuleType, mutant: Mutant) -> None:
    """Make the module's functions and constants those of the mutant; whoever imported them has the mistake, too."""
    fresh: dict[str, Any] = {"__name__": module.__name__, "__file__": module.__file__}
    code = compile(mutant.tree(), module.__file__ or module.__name__, "exec")
    exec(code, fresh)
    codes = {inner.co_qualname: inner for inner in _codes(code)}
    for name, value in vars(module).copy().items():
        if name in fresh and isinstance(value, int | float):
            setattr(module, name, fresh[name])
        elif getattr(value, "__module__", None) == module.__name__:
            _replant(value, fresh[name], codes)


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _replant(old: Any, new: Any, codes: dict[str, CodeType]) -> None:
    if isinstance(old, FunctionType):
        code = codes.get(old.__qualname__)
        if code and code.co_filename == old.__code__.co_filename:  # not what a decorator put in its place
            old.__code__ = code
        old.__defaults__, old.__kwdefaults__ = new.__defaults__, new.__kwdefaults__
        if hasattr(old, "__wrapped__"):
            _replant(old.__wrapped__, getattr(new, "__wrapped__", new), codes)
    elif isinstance(old, type):
        for name, member in vars(old).copy().items():
            theirs = vars(new).get(name)
            if isinstance(member, property):
                _replant(member.fget, theirs.fget, codes)
            elif isinstance(member, staticmethod):  # and __new__, which has the defaults of a named tuple
                _replant(member.__func__, theirs.__func__, codes)
            elif isinstance(member, FunctionType):
                _replant(member, theirs, codes)
            elif isinstance(member, int | float | str) and not name.startswith("__"):
                setattr(old, name, theirs)
