"""Translate functions of the language from Python's syntax trees to LLVM's text."""

from __future__ import annotations

import ast
import platform
from collections.abc import Callable, Sequence
from itertools import count
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np

from xpnet_backends.on_numpy.compiler.builder import Address, Builder, Number, Value, literal
from xpnet_backends.on_numpy.compiler.language import (
    C_TYPES,
    LLVM_TYPES,
    Assembly,
    CFunction,
    Function,
    Intrinsic,
    NotCompilable,
    ParsedFunction,
    Pointer,
)

__all__ = ["Module"]

BUILT_IN = {"abs": Intrinsic("abs"), "bool": np.bool_}
"""Python's own names that the language has, beside ``range``."""

SYMBOLS = count()
"""Numbers that tell functions of the same name apart."""

METADATA = count(100)
"""Numbers of LLVM's metadata; the first ones are left to :class:`Assembly`."""

PAUSES = {
    "x86_64": "void @llvm.x86.sse2.pause()", "AMD64": "void @llvm.x86.sse2.pause()",
    "aarch64": "void @llvm.aarch64.hint(i32 1)", "arm64": "void @llvm.aarch64.hint(i32 1)",
}  # fmt: skip
"""LLVM's instruction for a thread that waits, by the processor's name."""

Kinds = tuple[str | Pointer, ...]
"""The types of arguments."""


class Module:
    """Functions that are compiled together, with all functions that they call."""

    def __init__(self) -> None:
        self.declared: dict[str, None] = {}
        self._known: dict[tuple[Function, Kinds], FunctionCompiler | Verbatim] = {}

    def function(self, function: Function, kinds: Kinds) -> FunctionCompiler | Verbatim:
        """Return the function for arguments of these types; it is translated once for each combination."""
        key = function, kinds
        if key not in self._known:
            if isinstance(function, Assembly):
                self.declared.update(dict.fromkeys(function.declared))
                self._known[key] = Verbatim(f"{function.name}.{next(SYMBOLS)}", function.text)
            else:
                self._write(function, kinds)
        return self._known[key]

    def _write(self, function: ParsedFunction | Callable[..., Any], kinds: Kinds) -> None:
        written = function if isinstance(function, ParsedFunction) else ParsedFunction.of(function)
        node = written.node
        if len(_plain(node.args)) != len(kinds):
            raise NotCompilable(f"no function of {len(kinds)} arguments: {node.name}({ast.unparse(node.args)})")
        body = FunctionCompiler(self, f"{node.name}.{next(SYMBOLS)}", written)
        self._known[function, kinds] = body  # it may call itself
        body.write(node, kinds)

    def text(self, outside: Sequence[str]) -> str:
        """Return LLVM's text, in which all symbols but *outside* are internal."""
        bodies = self._known.values()
        texts = [f"define {'' if body.symbol in outside else 'internal '}{body.text()}" for body in bodies]
        return "\n".join([*self.declared, *texts])


def _noalias(names: Sequence[str], declared: dict[str, None]) -> dict[str, str]:
    """Return, by pointer, the metadata of its loads and stores, which says that the other pointers lie elsewhere."""
    if not names:
        return {}
    domain, *scopes = (next(METADATA) for _ in range(len(names) + 1))
    lines = [f"!{domain} = distinct !{{!{domain}}}"]
    lines += [f"!{scope} = distinct !{{!{scope}, !{domain}}}" for scope in scopes]
    metadata = {}
    for name, scope in zip(names, scopes, strict=True):
        own, others = next(METADATA), next(METADATA)
        listed = ", ".join(f"!{other}" for other in scopes if other != scope)
        lines += [f"!{own} = !{{!{scope}}}", f"!{others} = !{{{listed}}}"]
        metadata[name] = f", !alias.scope !{own}, !noalias !{others}"
    declared.update(dict.fromkeys(lines))
    return metadata


def _plain(given: ast.arguments) -> list[ast.arg]:
    """Return a function's arguments if all are plain: no defaults, no ``*`` or ``/``; else none."""
    other = given.defaults or given.posonlyargs or given.kwonlyargs or given.vararg or given.kwarg
    return [] if other else given.args


class Verbatim(NamedTuple):
    """A function given in LLVM's language."""

    symbol: str
    body: str
    result: str | None = None

    def text(self) -> str:
        """Return what follows ``define``."""
        return f"void @{self.symbol}{self.body}"


class FunctionCompiler:
    """One function, translated node by node: the method ``_write_<class>`` translates syntax nodes of that class.

    Variables are stack slots, which LLVM turns into registers.
    """

    def __init__(self, module: Module, symbol: str, written: ParsedFunction) -> None:
        self.symbol = symbol
        self.result: str | None = None
        self._module, self._scope = module, written.scope
        self._noalias = _noalias(written.noalias, module.declared)
        self._variables: dict[str, tuple[str, Number | Address]] = {}
        self._parameters: list[str] = []
        self._entry: list[str] = []
        self._code = Builder()
        self._open = True

    def write(self, node: ast.FunctionDef, kinds: Kinds) -> None:
        """Write the function."""
        for parameter, kind in zip(node.args.args, kinds, strict=True):
            name = f"%{parameter.arg}.given"
            value = Address(kind.kind, name) if isinstance(kind, Pointer) else Number(kind, name)
            self._parameters.append(str(value))
            self._store(parameter.arg, value)
        self._statements(node.body)
        if self._open and self.result is not None:
            raise NotCompilable(f"{node.name} may end without a return")
        self._leave("ret void")

    def text(self) -> str:
        """Return what follows ``define``."""
        form = "void" if self.result is None else LLVM_TYPES[self.result]
        head = f"{form} @{self.symbol}({', '.join(self._parameters)}) {{"
        return "\n".join([head, "entry:", *self._entry, *self._code.lines, "}"])

    # Blocks

    def _begin(self, block: str) -> None:
        self._code.lines.append(f"{block}:")
        self._open = True

    def _leave(self, line: str) -> None:
        """End a block, unless it has ended."""
        if self._open:
            self._code.emit(line)
        self._open = False

    # Statements

    def _statements(self, nodes: Sequence[ast.stmt]) -> None:
        for node in nodes:
            if not self._open:
                raise NotCompilable(f"line {node.lineno} is never reached")
            self._method(node)(node)

    def _method(self, node: ast.stmt | ast.expr) -> Callable[[Any], Any]:
        method: Callable[[Any], Any] | None = getattr(self, f"_write_{type(node).__name__}", None)
        if method is None:
            raise NotCompilable(f"line {node.lineno}: {ast.unparse(node)}")
        return method

    def _write_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring
            self._value(node.value)

    def _write_Assign(self, node: ast.Assign) -> None:
        if len(node.targets) == 1 and isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple):
            values = [self._value(value) for value in node.value.elts]
            for target, value in zip(node.targets[0].elts, values, strict=True):
                self._put(target, value)
        else:
            value = self._value(node.value)
            for target in node.targets:
                self._put(target, value)

    def _write_AugAssign(self, node: ast.AugAssign) -> None:
        self._put(node.target, self._operation(node.op, node.target, node.value))

    def _put(self, target: ast.expr, value: Value) -> None:
        if isinstance(target, ast.Name):
            self._store(target.id, value)
        elif isinstance(target, ast.Subscript):
            place = self._element(target)
            self._code.emit(f"store {self._code.converted(value, place.kind)}, {place}{self._alias_metadata(target)}")
        else:
            raise NotCompilable(f"line {target.lineno}: nothing can be assigned to {ast.unparse(target)}")

    def _store(self, name: str, value: Value) -> None:
        """Assign to a variable; a literal is converted to the variable's type."""
        if name not in self._variables:
            value = self._code.typed(value)
            self._variables[name] = f"%{name}.{next(self._code.serial)}", value
            self._entry.append(f"  {self._variables[name][0]} = alloca {value.llvm_type}")
            self._entry.append(f"  store {value.llvm_type} zeroinitializer, ptr {self._variables[name][0]}")
        slot, first = self._variables[name]
        if isinstance(value, int | float):
            value = self._code.converted(value, first.kind)
        if (value.llvm_type, value.kind) != (first.llvm_type, first.kind):
            raise NotCompilable(f"{name} holds {first.kind}, and is given {value.kind}")
        self._code.emit(f"store {value}, ptr {slot}")

    def _write_For(self, node: ast.For) -> None:
        ranging = node.iter
        if not isinstance(ranging, ast.Call) or ast.unparse(ranging.func) != "range" or node.orelse:
            raise NotCompilable(f"line {node.lineno}: a loop goes over a range")
        code = self._code
        ends = [self._value(end) for end in ranging.args]
        given = {1: (0, *ends, 1), 2: (*ends, 1), 3: ends}[len(ends)]
        start, stop, step = map(code.whole, given)
        number = next(code.serial)
        counter, (look, body, after) = f"%counter.{number}", [f"{name}.{number}" for name in ("look", "body", "after")]
        self._entry.append(f"  {counter} = alloca i64")
        code.emit(f"store {start}, ptr {counter}")
        self._leave(f"br label %{look}")
        self._begin(look)
        now = code.new("int64", f"load i64, ptr {counter}")
        self._leave(f"br {code.compared('Lt', now, stop)}, label %{body}, label %{after}")
        self._begin(body)
        self._put(node.target, now)
        self._statements(node.body)
        if self._open:
            following = code.new("int64", f"add nsw {now}, {step.text}")
            code.emit(f"store {following}, ptr {counter}")
        self._leave(f"br label %{look}")
        self._begin(after)

    def _write_If(self, node: ast.If) -> None:
        number = next(self._code.serial)
        then, other, after = (f"{name}.{number}" for name in ("then", "else", "after"))
        self._leave(f"br {self._test(node.test)}, label %{then}, label %{other}")
        reached = False
        for name, body in ((then, node.body), (other, node.orelse)):
            self._begin(name)
            self._statements(body)
            reached = reached or self._open
            self._leave(f"br label %{after}")
        if reached:
            self._begin(after)

    def _write_Return(self, node: ast.Return) -> None:
        if node.value is None:
            raise NotCompilable(f"line {node.lineno}: what is returned is a number")
        value = self._code.typed(self._value(node.value))
        self.result = self.result or value.kind
        self._leave(f"ret {self._code.converted(value, self.result)}")

    # Expressions

    def _value(self, node: ast.expr) -> Value:
        found: Value = self._method(node)(node)
        return found

    def _test(self, node: ast.expr) -> Number:
        """Write a condition."""
        return self._code.converted(self._value(node), "bool")

    def _write_Constant(self, node: ast.Constant) -> Value:
        return literal(node.value)

    def _write_Attribute(self, node: ast.Attribute) -> Value:
        return literal(self._named(node))

    def _write_Name(self, node: ast.Name) -> Value:
        if node.id not in self._variables:
            return literal(self._named(node))
        slot, first = self._variables[node.id]
        return first._replace(text=self._code.name(f"load {first.llvm_type}, ptr {slot}"))

    def _named(self, node: ast.expr) -> Any:
        """Return the object that a name in the function's scope refers to."""
        if isinstance(node, ast.Attribute):
            return getattr(self._named(node.value), node.attr)
        if isinstance(node, ast.Name) and node.id in self._scope:
            return self._scope[node.id]
        if isinstance(node, ast.Name) and node.id in BUILT_IN:
            return BUILT_IN[node.id]
        raise NotCompilable(f"line {node.lineno}: nothing is known of {ast.unparse(node)}")

    def _write_Subscript(self, node: ast.Subscript) -> Value:
        place = self._element(node)
        return self._code.new(place.kind, f"load {LLVM_TYPES[place.kind]}, {place}{self._alias_metadata(node)}")

    def _alias_metadata(self, node: ast.Subscript) -> str:
        """Return the alias metadata for an access to an element."""
        return self._noalias.get(node.value.id, "") if isinstance(node.value, ast.Name) else ""

    def _element(self, node: ast.Subscript) -> Address:
        """Return the address of an element."""
        array, index = self._value(node.value), self._value(node.slice)
        if not isinstance(array, Address):
            raise NotCompilable(f"line {node.lineno}: {ast.unparse(node.value)} is no pointer")
        step = self._code.whole(index)
        return array._replace(text=self._code.name(f"getelementptr inbounds {LLVM_TYPES[array.kind]}, {array}, {step}"))

    def _write_BinOp(self, node: ast.BinOp) -> Value:
        return self._operation(node.op, node.left, node.right)

    def _operation(self, operator: ast.operator, left: ast.expr, right: ast.expr) -> Value:
        return self._code.operation(type(operator).__name__, self._value(left), self._value(right))

    def _write_UnaryOp(self, node: ast.UnaryOp) -> Value:
        if isinstance(node.op, ast.USub):
            return self._code.negated(self._value(node.operand))
        if isinstance(node.op, ast.Not):
            return self._code.compared("Eq", self._test(node.operand), 0)
        raise NotCompilable(f"line {node.lineno}: {ast.unparse(node)}")

    def _write_Compare(self, node: ast.Compare) -> Value:
        if len(node.ops) > 1:
            raise NotCompilable(f"line {node.lineno}: {ast.unparse(node)}")
        left, right = self._value(node.left), self._value(node.comparators[0])
        return self._code.compared(type(node.ops[0]).__name__, left, right)

    def _write_BoolOp(self, node: ast.BoolOp) -> Value:
        found, *rest = map(self._test, node.values)
        for value in rest:
            found = self._code.new("bool", f"{'and' if isinstance(node.op, ast.And) else 'or'} {found}, {value.text}")
        return found

    def _write_IfExp(self, node: ast.IfExp) -> Value:
        return self._code.chosen(*map(self._value, (node.test, node.body, node.orelse)))

    # Calls

    def _write_Call(self, node: ast.Call) -> Value:
        function = self._named(node.func)
        if node.keywords:
            raise NotCompilable(f"line {node.lineno}: {ast.unparse(node)}")
        given = [self._value(argument) for argument in node.args]
        if isinstance(function, Pointer):
            (place,) = given
            return Address(function.kind, self._at(place))
        if isinstance(function, CFunction):
            return self._foreign(function, given)
        if isinstance(function, Intrinsic):
            atomic = getattr(self, f"_{function.name}", None)
            return atomic(*given) if atomic else self._intrinsic(function.name, given)
        if isinstance(function, type) and issubclass(function, np.generic):
            (value,) = given
            return self._code.converted(value, np.dtype(function).name)
        if not isinstance(function, ParsedFunction | Assembly | FunctionType):
            raise NotCompilable(f"line {node.lineno}: {ast.unparse(node)}")
        values = [self._code.typed(value) for value in given]
        kinds = tuple(Pointer(value.kind) if isinstance(value, Address) else value.kind for value in values)
        body = self._module.function(function, kinds)
        return self._called(body.result, f"@{body.symbol}({', '.join(map(str, values))})")

    def _at(self, address: Value) -> str:
        """Return the name of a pointer to an address, which is an integer in the language."""
        return self._code.name(f"inttoptr {self._code.whole(address)} to ptr")

    def _called(self, result: str | None, line: str) -> Value:
        if result is None:
            self._code.emit(f"call void {line}")
            return 0
        return self._code.new(result, f"call {LLVM_TYPES[result]} {line}")

    def _foreign(self, function: CFunction, given: Sequence[Value]) -> Value:
        """Call a C function at an address."""
        place, *values = given
        passed = [
            f"ptr {self._at(value)}" if kind == "p" else str(self._code.converted(value, C_TYPES[kind]))
            for value, kind in zip(values, function.kinds, strict=True)
        ]
        return self._called(C_TYPES.get(function.result), f"{self._at(place)}({', '.join(passed)})")

    def _atomic_load(self, address: Value) -> Value:
        return self._code.new("int64", f"load atomic i64, ptr {self._at(address)} seq_cst, align 8")

    def _exchange(self, address: Value, value: Value) -> Value:
        new = self._code.whole(value)
        return self._code.new("int64", f"atomicrmw xchg ptr {self._at(address)}, {new} seq_cst")

    def _compare_exchange(self, address: Value, expected: Value, value: Value) -> Value:
        old, new = map(self._code.whole, (expected, value))
        pair = self._code.name(f"cmpxchg ptr {self._at(address)}, {old}, {new} seq_cst seq_cst")
        return self._code.new("int64", f"extractvalue {{ i64, i1 }} {pair}, 0")

    def _pause(self) -> Value:
        if line := PAUSES.get(platform.machine()):
            self._module.declared[f"declare {line.replace('i32 1', 'i32')}"] = None
            self._code.emit(f"call {line}")
        return 0

    def _intrinsic(self, name: str, given: Sequence[Value]) -> Value:
        code, first = self._code, self._code.typed(given[0])
        if name == "float_of":
            return code.new("float32", f"bitcast {code.converted(first, 'int32')} to float")
        if isinstance(first, Number) and not first.is_float and name == "abs":
            return code.absolute(first)
        kind = first.kind if isinstance(first, Number) and first.is_float else "float64"
        numbers = [code.converted(value, kind) for value in (first, *given[1:])]
        form, symbol = LLVM_TYPES[kind], f"@llvm.{'fabs' if name == 'abs' else name}.f{kind[5:]}"
        self._module.declared[f"declare {form} {symbol}({', '.join([form] * len(numbers))})"] = None
        return code.new(kind, f"call {form} {symbol}({', '.join(map(str, numbers))})")
