"""Write a recorded function as straight-line NumPy over memory that is laid out once."""

from __future__ import annotations

from typing import Any

import numpy as np

from xpnet_backends.on_numpy import blocks, exponential, gathering, loops, products, team
from xpnet_backends.on_numpy.fusing import Group, groups
from xpnet_backends.on_numpy.graph import is_whole, last_uses, needed, operands, parts, root, successors
from xpnet_backends.on_numpy.kernels import Source, available, compiled
from xpnet_backends.on_numpy.memory import Pool, Store, new_array
from xpnet_backends.on_numpy.naming import Names
from xpnet_backends.on_numpy.tracing import Host, Node, NotTraceable, Traced

__all__ = ["KernelsMissing", "Writer"]

LARGE = 1 << 14
"""Bytes of a result from which a copy takes longer than new memory."""

MANY_VIEWS = 3
"""Views of one parameter from which they are kept for the next call, as it is likely that all weights lie in it."""

COMPUTED = ("ufunc", "reduce", "astype", "product")
"""Kinds of operations that write into memory they are given."""


class KernelsMissing(Exception):
    """Kernels would have to be compiled, and may not yet."""


class Writer:
    """Writes the function line by line, and collects in ``names`` the arrays and functions that it names.

    *fuse* says whether kernels are used "never", "known" ones alone (else :class:`KernelsMissing` is raised), or
    compiled "now".
    """

    def __init__(
        self, nodes: list[Node], owned: list[Node], home: list[Host], kept: list[Any], rest: list[Any], fuse: str
    ) -> None:
        self.owned, self.home = owned, home
        self.kept = [_node_of(leaf) for leaf in kept]
        self.rest = [_node_of(leaf) for leaf in rest]
        self.nodes = needed(nodes, [*self.kept, *self.rest])
        self.compile_now = fuse == "now"
        self.fuses = fuse != "never" and available()
        self.groups: dict[int, Group] = {}
        self.gathered = {id(node) for node in self.nodes if self.fuses and gathering.suits(node)}
        if self.fuses:
            order, found = groups(self.nodes, self._is_fixed)
            if any(group.has_exp for group in found) and not self._knows_exp():
                order, found = groups(self.nodes, self._is_fixed, exp=False)
            self.nodes = order
            self.groups = {id(node): group for group in found for node in group.members}
        self.position = {id(node): i for i, node in enumerate(self.nodes)}
        self.last_use = last_uses(self.nodes, [*self.kept, *self.rest])
        self.target = successors(self.kept, home, self.last_use, self.position)
        self.fresh = self._find_fresh()
        self.slots: dict[int, Host] = {}
        self.names = Names()
        self.lines: list[str] = []
        self.pool = Pool()
        self.addresses: dict[int, str] = {}
        self.bound: dict[str, list[str]] = {}

    def _knows_exp(self) -> bool:
        """Say whether kernels compute exp as NumPy does. That is tried once; only now, if it may be."""
        if not self.compile_now and not exponential.agrees.cache_info().currsize:
            raise KernelsMissing
        return exponential.agrees()

    def _is_fixed(self, node: Node) -> bool:
        """Say whether a node's memory is known when the function is written."""
        base = root(node)
        known = base.kind not in ("input", "call") or id(base) in self.gathered
        return known or any(base is owned for owned in self.owned)

    def _find_fresh(self) -> set[int]:
        """Return the large results of one operation that nothing else reads: they get new memory at each call.

        In the plan's memory they would have to be copied before they are handed out.
        """
        inner = {id(root(operand)) for node in self.nodes for operand in operands(node)}
        inner |= {id(root(leaf)) for leaf in self.kept if isinstance(leaf, Node)}
        leaves = [leaf for leaf in self.rest if isinstance(leaf, Node) and leaf.value.nbytes >= LARGE]
        once = [leaf for leaf in leaves if sum(other is leaf for other in leaves) == 1 and id(leaf) not in inner]
        made = {id(leaf) for leaf in once if leaf.kind == "ufunc" and leaf.function is not np.matmul}
        return made - self.groups.keys()

    # Writing

    def write(self, parameters: list[Node]) -> str:
        """Return the source of ``run(*parameters)``, which returns the results that are not kept."""
        for i, node in enumerate(self.owned):
            self.names.place(node, Store(self.names.constant(self.home[i]), self.home[i], owner=i))
        for i, node in enumerate(parameters):
            self.names.place(node, Store(f"x{i}", None))
            views = [other for other in self.nodes if other.kind == "view" and root(other) is node]
            if len(views) >= MANY_VIEWS and all(len(operands(view)) == 1 for view in views):
                self.bound[f"x{i}"] = []
        self._reserve_joins()
        for node in self.nodes:
            group = self.groups.get(id(node))
            if group and node is group.members[-1]:
                self._write_group(group)
            elif not group and node.kind != "input":
                getattr(self, f"_write_{node.kind}")(node)
                self._release(node)
        results = ", ".join([self._result(i, leaf) for i, leaf in enumerate(self.rest)])
        self._write_back()
        head = f"def run({', '.join(f'x{i}' for i in range(len(parameters)))}):"
        body = [*self._binding(), *self.lines, f"return ({results}{',' if results else ''})"]
        return "\n    ".join([head, *body]) + "\n"

    def _binding(self) -> list[str]:
        """Return the lines that take views of a parameter where it is another than at the last call."""
        lines = []
        for name, views in self.bound.items():
            names = [f"last_{name}", *(line.partition(" = ")[0] for line in views)]
            self.names.values[names[0]] = None
            lines += [f"global {', '.join(names)}", f"if {name} is not {names[0]}:"]
            # Ctrl-C between two views must not leave some of this parameter beside some of the last one.
            lines += [f"    {line}" for line in (f"{names[0]} = None", *views, f"{names[0]} = {name}")]
        return lines

    def _lines_of(self, node: Node) -> list[str]:
        """Return where lines go that look at a node's form alone: before all others, for a parameter's views."""
        return self.bound.get(self.names.of(root(node)), self.lines)

    def _write_view(self, node: Node) -> None:
        store = self.names.stores[id(node.args[0])]
        base = self.names.known(node.args[0])
        if base is not None:
            array = node.function(base, *node.args[1:], **node.options)
            if np.may_share_memory(array, base):
                self.names.place(node, store, self.names.constant(array))
                return
        self.names.place(node, store, f"v{self.position[id(node)]}")
        self._lines_of(node).append(f"{self.names.of(node)} = {self.names.call(node)}")

    def _write_call(self, node: Node) -> None:
        if id(node) in self.gathered:
            self._write_gathering(node)
            return
        self.names.place(node, Store(f"v{self.position[id(node)]}", None))
        self.lines.append(f"{self.names.of(node)} = {self.names.call(node)}")

    def _write_gathering(self, node: Node) -> None:
        """Write ``take`` of many long rows for several threads."""
        part = self._made(gathering.part)
        names = [self.names.operand(arg, set()) for arg in node.args]
        into = self._destination(node)
        table = gathering.table(node, self.names.values[into])
        arguments = [*names, into, self.names.constant(table), repr(team.call(part, table))]
        self.lines.append(f"{self.names.constant(gathering.gather)}({', '.join(arguments)})")

    def _write_ufunc(self, node: Node) -> None:
        function = node.function
        # Of a matrix in strides, the two functions add the terms in different orders.
        if function is np.matmul and all(part.value.ndim == 2 and part.value.flags.forc for part in operands(node)):
            function = np.dot
        dtypes = {operand.value.dtype for operand in operands(node)}
        names = [self.names.operand(arg, dtypes) for arg in node.args]
        if id(node) in self.fresh:
            self.names.place(node, Store(f"v{self.position[id(node)]}", None))
            self.lines.append(f"{self.names.of(node)} = {self.names.constant(function)}({', '.join(names)})")
            return
        into = self._destination(node, in_place=node.function is not np.matmul)
        if len(names) == 1 and self._write_shared(function, names[0], into):
            return
        out = f"out={into}" if function in (np.maximum, np.minimum) else into
        self.lines.append(f"{self.names.constant(function)}({', '.join([*names, out])})")

    def _write_shared(self, function: Any, name: str, into: str) -> bool:
        """Write a function of one array for several threads, where kernels are used and it is long enough."""
        given, written = self.names.array(name), self.names.array(into)
        if not self.fuses or given is None or written is None or not loops.suits(function, given, written):
            return False
        table = loops.table(function, given, written)
        self._write_team_call(self._made(loops.part), table, f"{into} = {function.__name__}({name})")
        return True

    def _made(self, part: Any) -> Any:
        """Return what threads do, which is compiled once for all plans; only now, if it may be."""
        if not self.compile_now and not part.cache_info().currsize:
            raise KernelsMissing
        return part()

    def _write_team_call(self, part: Any, table: Host, what: str) -> None:
        call = f"{self.names.constant(team.run())}{team.call(part, table)}"
        self.lines.append(f"{call}  # {self.names.constant(table)}: {what}")

    def _write_product(self, node: Node) -> None:
        """Write MKL's product of two matrices, or of a row of ones and a table, by addresses; or one in blocks."""
        if node.function is blocks.product:
            names = [self.names.operand(arg, set()) for arg in node.args]
            into = self._destination(node)
            self.lines.append(f"{self.names.constant(blocks.multiply)}({', '.join([*names, into])})")
            return
        if node.function is products.column_sums:
            (b,) = node.args
            a = products.ones(len(b.value), b.value.dtype.char)
        else:
            a, b = node.args
        names = [self.names.operand(arg, set()) for arg in (a, b)]
        into = self._destination(node)
        places = [self._address(arg, name) for arg, name in zip((a, b), names, strict=True)]
        a, b = (arg.value if isinstance(arg, Node) else arg for arg in (a, b))
        if not products.turns(a, b):
            self._write_mkl_call(a, b, [*places, self._address(node, into)], f"{into} = {names[0]} @ {names[1]}")
            return
        turned = self.pool.take(node.value.T)
        name = self.names.constant(turned)
        what = f"{name} = {names[1]}.T @ {names[0]}.T"
        self._write_mkl_call(b.T, a.T, [*reversed(places), turned.ctypes.data], what)
        self.lines.append(f"copyto({into}, {self.names.constant(turned.T)})")
        self.pool.give_back(Store(name, turned))

    def _write_mkl_call(self, a: Host, b: Host, places: list[Any], what: str) -> None:
        call = ", ".join([str(item) for item in products.arguments(a, b, *places)])
        self.lines.append(f"{self.names.constant(products.routine(a.dtype.char))}({call})  # {what}")

    def _address(self, arg: Any, name: str) -> Any:
        """Return where an array lies: the address where it is known, else the name of a variable that holds it."""
        array = self.names.array(name)
        if array is not None:
            return array.ctypes.data
        base = root(arg)
        if base.value.ctypes.data == arg.value.ctypes.data:
            arg = base
        if id(arg) not in self.addresses:
            self.addresses[id(arg)] = f"p{self.position[id(arg)]}"
            self._lines_of(arg).append(f"{self.addresses[id(arg)]} = {self.names.of(arg)}.ctypes.data")
        return self.addresses[id(arg)]

    def _write_group(self, group: Group) -> None:
        """Write one compiled pass over several operations; only what is read outside leaves it."""
        end = self.position[id(group.members[-1])]
        source = Source(group, lambda node: self.last_use[id(node)] > end)
        arrays = [(found, self._group_operand(arg, found, source)) for arg, found in source.reads]
        claimed: set[int] = set()
        for k, (node, found) in enumerate(source.writes):
            into, over = self._group_destination(node, group, source, end, claimed)
            if over is None:
                arrays.append((found, _formed(into, found, source)))
            else:
                source.merge(k, over)
        shared = source.divisible and group.work > team.worth() and team.size() > 1
        shared = shared and all(array.flags.c_contiguous for _, array in arrays)
        scratch = (team.size() if shared else 1, source.columns)
        arrays += [("scratch", np.empty(scratch, dtype)) for dtype in source.scratch]
        if source.flat:
            arrays = [("vector" if found == "table" else found, array) for found, array in arrays]
        kernel = compiled(source, arrays, shared, self.compile_now)
        if kernel is None:
            raise KernelsMissing
        names = ", ".join([self.names.constant(item) for item in (kernel, *(array for _, array in arrays))])
        if shared:
            table = team.table(source.rows, source.columns, arrays)
            self._write_team_call(kernel, table, f"{source.rows}, {source.columns}, {names}")
        else:
            kernel_name, _, rest = names.partition(", ")
            self.lines.append(f"{kernel_name}({source.rows}, {source.columns}, {rest})")
        for key in {id(root(operand)) for node in group.members for operand in operands(node)} - group.inside:
            store = self.names.stores.get(key)
            if store is not None and store.pooled and id(store) not in claimed and self.last_use[key] <= end:
                self.pool.give_back(store)

    def _group_operand(self, arg: Any, found: str, source: Source) -> Host:
        """Return the memory in which a kernel finds an operand; small values of unknown place are copied to one."""
        array = self.names.known(arg) if isinstance(arg, Node) else np.asarray(arg)
        formed = None if array is None else _formed(array, found, source)
        if array is None or formed is None or not np.may_share_memory(array, formed):
            if found == "table":
                raise NotTraceable("a fused operation reads memory that is not known")
            buffer = new_array(arg.value)
            self.lines.append(f"copyto({self.names.constant(buffer)}, {self.names.of(arg)})")
            formed = _formed(buffer, found, source)
        return formed

    def _group_destination(
        self, node: Node, group: Group, source: Source, end: int, claimed: set[int]
    ) -> tuple[Host, int | None]:
        """Choose where a group's result is written, and say over which of its operands.

        That is an operand that ends in the group, and that no pass over a row reads after the result is written.
        """
        slot = self.slots.get(id(node))
        if slot is not None:
            self.names.place(node, Store(self.names.constant(slot), slot))
            return slot, None
        for k, (operand, found) in enumerate(source.reads):
            if found != "table" or not isinstance(operand, Node) or operand is not root(operand):
                continue
            if any(arg is not operand and isinstance(arg, Node) and root(arg) is operand for arg, _ in source.reads):
                continue  # a view of it is read for rows to come, or by another thread
            store = self.names.stores[id(operand)]
            if store.array is None or id(store) in claimed or id(node) not in source.written:
                continue
            if operand.value.shape != node.value.shape or operand.value.dtype != node.value.dtype:
                continue
            owned = store.owner is not None and self.target.get(id(node)) == store.owner
            ends = self.last_use[id(operand)] <= end
            if (owned or store.pooled) and ends and source.last_read[id(operand)] <= source.written[id(node)]:
                claimed.add(id(store))
                self.names.place(node, store)
                return store.array, k
        array = self.pool.take(node.value)
        self.names.place(node, Store(self.names.constant(array), array, pooled=True))
        return array, None

    def _write_reduce(self, node: Node) -> None:
        into = self._destination(node)
        call = f"{self.names.constant(node.function)}.reduce({self.names.of(node.args[0])}"
        self.lines.append(f"{call}, {node.options['axis']}, None, {into}, {node.options['keepdims']})")

    def _write_astype(self, node: Node) -> None:
        source = self.names.of(node.args[0])
        self.lines.append(f"copyto({self._destination(node)}, {source}, 'unsafe')")

    def _write_where(self, node: Node) -> None:
        condition, chosen, other = (self.names.operand(arg, {node.value.dtype}) for arg in node.args)
        into = self._destination(node)
        self.lines.append(f"copyto({into}, {other})")
        self.lines.append(f"copyto({into}, {chosen}, where={condition})")

    def _write_join(self, node: Node) -> None:
        array = self.slots.get(id(node))
        if array is None:
            array = self.pool.take(node.value)
        self.names.place(node, Store(self.names.constant(array), array))
        for part, place in zip(node.args, parts(node, array), strict=True):
            if not isinstance(part, Node):
                np.copyto(place, part)
            elif not self._is_there(part, place):
                self.lines.append(f"copyto({self.names.constant(place)}, {self.names.of(part)})")

    def _write_back(self) -> None:
        """Move the successors of donated arrays that were computed elsewhere into their places."""
        moves = []
        for i, leaf in enumerate(self.kept):
            if not isinstance(leaf, Node):
                moves.append((self.names.constant(self.home[i]), self.names.constant(np.asarray(leaf))))
            elif self.names.stores[id(leaf)].array is not self.home[i] or self.names.of(leaf) != self.names.constant(
                self.home[i]
            ):
                if self.names.stores[id(leaf)].owner is not None:
                    raise NotTraceable("donated arrays change places")
                moves.append((self.names.constant(self.home[i]), self.names.of(leaf)))
        self.lines += [f"copyto({home}, {name})" for home, name in moves]

    def _result(self, i: int, leaf: Any) -> str:
        """Return the name of a result that shares no memory with the plan, nor with donated arrays to be changed."""
        if not isinstance(leaf, Node):
            return f"{self.names.constant(np.asarray(leaf))}.copy()"
        if id(leaf) in self.fresh or (root(leaf).kind == "input" and self.names.stores[id(leaf)].array is None):
            return self.names.of(leaf)
        self.lines.append(f"r{i} = {self.names.of(leaf)}.copy()")
        return f"r{i}"

    # Memory

    def _destination(self, node: Node, in_place: bool = False) -> str:
        """Choose where *node* is written, and return its name."""
        slot = self.slots.get(id(node))
        if slot is not None:
            self.names.place(node, Store(self.names.constant(slot), slot))
        elif in_place and (store := self._dying(node)) is not None:
            self.names.place(node, store)
        else:
            array = self.pool.take(node.value)
            self.names.place(node, Store(self.names.constant(array), array, pooled=True))
        return self.names.of(node)

    def _dying(self, node: Node) -> Store | None:
        """Return the memory of an operand of the same form that is read here for the last time."""
        for operand in operands(node):
            store = self.names.stores[id(operand)]
            if operand is not root(operand) or self.last_use[id(operand)] != self.position[id(node)]:
                continue
            if operand.value.shape != node.value.shape or operand.value.dtype != node.value.dtype:
                continue
            if store.owner is not None and self.target.get(id(node)) == store.owner:
                return store
            if store.pooled:
                return store
        return None

    def _reserve_joins(self) -> None:
        """Give the parts of each join their places in it, where they are computed by one operation."""
        for node in self.nodes:
            if node.kind != "join":
                continue
            array = new_array(node.value)
            self.slots[id(node)] = array
            for part, place in zip(node.args, parts(node, array), strict=True):
                maker = root(part) if isinstance(part, Node) else None
                if maker is None or maker.kind not in COMPUTED or id(maker) in self.slots:
                    continue
                ends_here = self.last_use[id(maker)] == self.position[id(node)]
                if ends_here and maker.value.dtype == array.dtype and is_whole(part, maker):
                    self.slots[id(maker)] = place.reshape(maker.value.shape)

    def _is_there(self, part: Node, place: Host) -> bool:
        slot = self.slots.get(id(root(part)))
        return slot is not None and np.may_share_memory(slot, place)

    def _release(self, node: Node) -> None:
        """Give back the buffers that *node* was the last to read."""
        for candidate in {id(root(operand)): root(operand) for operand in (*operands(node), node)}.values():
            store = self.names.stores[id(candidate)]
            if store.pooled and self.last_use[id(candidate)] <= self.position[id(node)]:
                heir = self.names.stores[id(node)] is store and candidate is not node
                if not heir:
                    self.pool.give_back(store)


def _formed(array: Host, found: str, source: Source) -> Host:
    """Return an array as a kernel takes it: tables with rows and columns, all else as a vector."""
    return array.reshape(-1) if found != "table" or source.flat else array.reshape(-1, source.columns)


def _node_of(leaf: Any) -> Any:
    return leaf.node if isinstance(leaf, Traced) else leaf
