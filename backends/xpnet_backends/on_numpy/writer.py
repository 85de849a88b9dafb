"""Write a recorded function as straight-line Python source, whose operations use memory that is allocated once."""

from __future__ import annotations

from typing import Any

import numpy as np

from xpnet_backends.on_numpy import bfloat16, blas, blocks, exponential, gathering, gemm, mkl, team, ufunc_loops
from xpnet_backends.on_numpy.compiler.llvm import available
from xpnet_backends.on_numpy.function_body import FunctionBody
from xpnet_backends.on_numpy.fusing import Group, find_groups
from xpnet_backends.on_numpy.graph import in_place_targets, is_reshape_of, join_slices, last_uses, needed, root
from xpnet_backends.on_numpy.kernels import KernelSource, kernel_call
from xpnet_backends.on_numpy.memory import BufferPool, Store, new_array
from xpnet_backends.on_numpy.naming import Names
from xpnet_backends.on_numpy.native import Location, Routine
from xpnet_backends.on_numpy.scalar_powers import power_call
from xpnet_backends.on_numpy.tracing import Host, Node, NotTraceable, Traced, number_power

__all__ = ["KernelsMissing", "Writer"]

LARGE = 1 << 14
"""Copying a result of at least so many bytes takes longer than allocating memory for it."""

COMPUTED = ("ufunc", "power", "reduce", "astype", "product")
"""Kinds of operations that can write into memory that they are given."""


class KernelsMissing(Exception):
    """Routines would have to be compiled, which is not allowed yet: *missing* has them."""

    def __init__(self, missing: frozenset[Any]) -> None:
        super().__init__(missing)
        self.missing = missing


class Writer:
    """Writes the function line by line, and collects in ``names`` the arrays and functions that it names.

    *fuse* says which kernels are used: "never" any, only "compiled" ones (if one is missing, :class:`KernelsMissing` is
    raised), or all, which are compiled "now". Unless it is "now", ``uncompiled`` collects routines that would only make
    the function faster, which does without them. If ``threads`` is not None, the numbers depend on the number of
    threads, and are those of so many.
    """

    def __init__(
        self,
        nodes: list[Node],
        donated_inputs: list[Node],
        donated_buffers: list[Host],
        successors: list[Any],
        outputs: list[Any],
        fuse: str,
    ) -> None:
        self.donated_inputs, self.donated_buffers = donated_inputs, donated_buffers
        self.successors = [_node_of(leaf) for leaf in successors]
        self.outputs = [_node_of(leaf) for leaf in outputs]
        self.nodes = needed(nodes, [*self.successors, *self.outputs])
        self.compile_now = fuse == "now"
        self.fuses = fuse != "never" and available()
        self.missing: set[Any] = set()
        self.threads: int | None = None
        self.uncompiled: set[Routine] | None = None if self.compile_now else set()
        self.groups: dict[int, Group] = {}
        self.gathered = {id(node) for node in self.nodes if self.fuses and gathering.supports(node)}
        if self.fuses:
            order, found = find_groups(self.nodes, self._has_fixed_address)
            if any(group.has_exp for group in found) and not self._may_fuse_exp():
                order, found = find_groups(self.nodes, self._has_fixed_address, exp=False)
            self.nodes = order
            self.groups = {id(node): group for group in found for node in group.members}
        self.position = {id(node): i for i, node in enumerate(self.nodes)}
        self.last_use = last_uses(self.nodes, [*self.successors, *self.outputs])
        self.in_place_targets = in_place_targets(self.successors, donated_buffers, self.last_use, self.position)
        self.newly_allocated = self._find_newly_allocated()
        self.join_slots: dict[int, Host] = {}
        self.names = Names()
        self.pool = BufferPool()
        self.arguments: dict[int, int] = {}

    def _may_fuse_exp(self) -> bool:
        """Say whether kernels may compute exp: whether theirs is NumPy's, which is tried once code may be compiled."""
        if not self.compile_now and not exponential.agrees.cache_info().currsize:
            self.missing.add(exponential.agrees)
            return True
        return exponential.agrees()

    def _has_fixed_address(self, node: Node) -> bool:
        """Say whether a node's address is fixed when the function is written, or known from its argument."""
        base = root(node)
        if base.kind == "input":
            return base.value.flags.aligned
        return base.kind != "call" or id(base) in self.gathered

    def _find_newly_allocated(self) -> set[int]:
        """Return the large results of one operation that nothing else reads: they get new memory at each call.

        In the plan's memory they would have to be copied before they are handed out.
        """
        inner = {id(root(operand)) for node in self.nodes for operand in node.operands}
        inner |= {id(root(leaf)) for leaf in self.successors if isinstance(leaf, Node)}
        leaves = [leaf for leaf in self.outputs if isinstance(leaf, Node) and leaf.value.nbytes >= LARGE]
        once = [leaf for leaf in leaves if sum(other is leaf for other in leaves) == 1 and id(leaf) not in inner]
        made = {id(leaf) for leaf in once if leaf.kind == "ufunc" and leaf.function is not np.matmul}
        return made - self.groups.keys()

    # Writing

    def write(self, parameters: list[Node], checked: bool = False) -> str:
        """Return the source of ``run(*parameters)``, which returns the results but the donated argument's successor.

        With *checked*, ``run_checked`` follows where there can be one; see :meth:`FunctionBody.source`.
        """
        self.body = FunctionBody(self.names, len(parameters))
        for i, node in enumerate(self.donated_inputs):
            self.names.assign(
                node, Store(self.names.constant(self.donated_buffers[i]), self.donated_buffers[i], donated_index=i)
            )
        for i, node in enumerate(parameters):
            self.names.assign(node, Store(f"x{i}", None))
            self.arguments[id(node)] = i
        self._reserve_joins()
        for node in self.nodes:
            group = self.groups.get(id(node))
            if group and node is group.members[-1]:
                self._write_group(group)
            elif not group and node.kind != "input":
                getattr(self, f"_write_{node.kind}")(node)
                self._release(node)
        results = [self._result(i, leaf) for i, leaf in enumerate(self.outputs)]
        self._write_back()
        if checked and self.fuses:
            self.body.add_checks([node.value for node in parameters])
        if not self.compile_now and (missing := self.missing | self.body.uncompiled()):
            raise KernelsMissing(frozenset(missing))
        if any(map(gemm.is_tiled_call, self.body.calls)):
            self.threads = team.size()
        return self.body.source(results)

    def _location(self, arg: Any, name: str) -> Location | None:
        """Return an argument's location; None where it is unknown, or nothing is compiled."""
        array = self.names.array(name)
        if not self.fuses:
            return None
        if array is not None:
            return Location.of(array) if array.flags.aligned else None
        base = root(arg) if isinstance(arg, Node) else None
        if base is None or id(base) not in self.arguments or not base.value.flags.aligned:
            return None
        return Location(arg.value, arg.value.ctypes.data - base.value.ctypes.data, self.arguments[id(base)])

    def _add_view(self, node: Node, name: str, text: str) -> None:
        """Add a line that makes a view: before all others, if it is a view of a parameter."""
        part = node
        while part.kind == "view" and len(part.operands) == 1:
            part = part.args[0]
        if id(part) in self.arguments:
            self.body.add_view(self.names.of(part), name, text)
        else:
            self.body.add(text)

    def _write_view(self, node: Node) -> None:
        store = self.names.stores[id(node.args[0])]
        base = self.names.array_of(node.args[0])
        if base is not None:
            array = node.function(base, *node.args[1:], **node.options)
            if np.may_share_memory(array, base):
                self.names.assign(node, store, self.names.constant(array))
                return
        self.names.assign(node, store, f"v{self.position[id(node)]}")
        self._add_view(node, self.names.of(node), f"{self.names.of(node)} = {self.names.call_expression(node)}")

    def _write_call(self, node: Node) -> None:
        call = self.names.call_expression(node)
        if id(node) in self.gathered:
            self._write_gathering(node, call)
            return
        self.names.assign(node, Store(f"v{self.position[id(node)]}", None))
        self.body.add(f"{self.names.of(node)} = {call}")

    def _write_gathering(self, node: Node, text: str) -> None:
        """Write ``take`` of rows into the plan's memory."""
        places = [self._location(arg, self.names.operand(arg, set())) for arg in node.args]
        into = self._destination(node)
        data, order = places
        written = self._location(node, into)
        if data is None or order is None or written is None:
            self.body.add(f"copyto({into}, {text})")
        else:
            self.body.add(f"{into} = {text}", gathering.gather_call(data, order, written, text))

    def _write_ufunc(self, node: Node) -> None:
        function = node.function
        # Of a matrix in strides, or one that is copied first, the two functions add the terms in different orders.
        given = [arg.value if isinstance(arg, Node) else np.asarray(arg) for arg in node.args]
        alike = all(part.ndim == 2 and part.dtype == node.value.dtype for part in given)
        if function is np.matmul and alike and all(part.flags.forc and part.flags.aligned for part in given):
            function = _dot(node.args)
        dtypes = {operand.value.dtype for operand in node.operands}
        names = [self.names.operand(arg, dtypes) for arg in node.args]
        if id(node) in self.newly_allocated:
            self.names.assign(node, Store(f"v{self.position[id(node)]}", None))
            self.body.add(f"{self.names.of(node)} = {self.names.constant(function)}({', '.join(names)})")
            return
        places = [self._location(arg, name) for arg, name in zip(node.args, names, strict=True)]
        into = self._destination(node, in_place=node.function is not np.matmul)
        written = self._location(node, into)
        out = f"out={into}" if function in (np.maximum, np.minimum) else into
        text = f"{self.names.constant(function)}({', '.join([*names, out])})"
        if function is np.dot:
            self.body.add(text, blas.matmul_call(places[0], places[1], written, self.uncompiled))
            return
        self.body.add(text, *ufunc_loops.ufunc_calls(function, places, written))

    def _write_power(self, node: Node) -> None:
        """Write a power of two numbers; those of two types stay as they are, as the types decide how it is computed."""
        dtypes = {operand.value.dtype for operand in node.operands}
        names = [self.names.operand(arg, dtypes & {node.value.dtype}) for arg in node.args]
        base, exponent = (self._location(arg, name) for arg, name in zip(node.args, names, strict=True))
        into = self._destination(node, in_place=True)
        text = f"copyto({into}, {self.names.constant(number_power)}({', '.join(names)}))"
        self.body.add(text, power_call(base, exponent, self._location(node, into)))

    def _write_product(self, node: Node) -> None:
        """Write a product by MKL, in blocks or of bfloat16 values, or column sums as a product with a row of ones."""
        arguments = node.args
        if node.function is mkl.column_sums:
            (table,) = arguments
            arguments = mkl.ones(len(table.value), table.value.dtype.char), table
        names = [self.names.operand(arg, set()) for arg in arguments]
        a, b = (self._location(arg, name) for arg, name in zip(arguments, names, strict=True))
        into = self._destination(node)
        written = self._location(node, into)
        if node.function is mkl.column_sums:
            into = self.names.constant(self.names.values[into].reshape(1, -1))
            written = self._location(None, into)
        others = {blocks.product: blocks.dot_in_blocks, bfloat16.product: _dot(arguments)}
        function = others.get(node.function, mkl.mkl_dot)
        text = f"{self.names.constant(function)}({', '.join([*names, into])})"
        if a is None or b is None or written is None:
            self.body.add(text)
        elif node.function is bfloat16.product:
            self.body.add(text, blas.matmul_call(a, b, written, self.uncompiled, bfloat16=True))
        elif node.function is blocks.product:
            self.body.add(text, *blas.block_calls(a, b, written, self.uncompiled))
        elif mkl.transposes_product(a.array, b.array):
            turned = self.pool.take(node.value.T)
            self.body.add(text, *blas.transposed_mkl_calls(a, b, written, Location.of(turned)))
            self.pool.give_back(Store(self.names.constant(turned), turned))
        else:
            self.body.add(text, blas.mkl_call(a, b, written))

    def _write_group(self, group: Group) -> None:
        """Write a group's kernel; only what is read outside of it is stored."""
        end = self.position[id(group.members[-1])]
        source = KernelSource(group, lambda node: self.last_use[id(node)] > end)
        places, names = [], []
        for arg, found in source.reads:
            place, name = self._group_operand(arg, found, source)
            places.append((found, place))
            names.append(name)
        claimed: set[int] = set()
        written: set[int] = set()
        for k, (node, found) in enumerate(source.writes):
            into, over = self._group_destination(node, source, end, claimed)
            written.add(len(places) if over is None else over)
            if over is None:
                places.append((found, Location.of(_as_kernel_array(into, found, source))))
                names.append(self.names.of(node))
            else:
                source.alias(k, over)
        shared = source.divisible and group.work > team.min_shared_ns() and team.size() > 1
        scratch = (team.size() if shared else 1, source.columns)
        written.update(range(len(places), len(places) + len(source.scratch)))
        places += [("scratch", Location.of(np.empty(scratch, dtype))) for dtype in source.scratch]
        if source.flat:
            places = [("vector" if found == "table" else found, place) for found, place in places]
        text = f"kernel({source.rows}, {source.columns}, {', '.join(names)})"
        self.body.add(
            text, kernel_call(source, places, shared, self._are_disjoint([place for _, place in places], written))
        )
        for key in {id(root(operand)) for node in group.members for operand in node.operands} - group.inside:
            store = self.names.stores.get(key)
            if store is not None and store.pooled and id(store) not in claimed and self.last_use[key] <= end:
                self.pool.give_back(store)

    def _are_disjoint(self, places: list[Location], written: set[int]) -> bool:
        """Say whether no written array overlaps another; an argument may be a buffer that the plan returned."""
        given = (
            [Location.of(home) for home in self.donated_buffers]
            if any(place.argument is not None for place in places)
            else []
        )
        for k in written:
            others = [place for i, place in enumerate(places) if i != k and place.argument is None] + given
            if any(places[k].overlaps(other) for other in others):
                return False
        return True

    def _group_operand(self, arg: Any, found: str, source: KernelSource) -> tuple[Location, str]:
        """Return an operand's location for a kernel, and its name.

        Small operands at unknown addresses, or in strides, are copied first.
        """
        name = self.names.operand(arg, set()) if isinstance(arg, Node) else self.names.constant(arg)
        place = self._location(arg, name)
        if place is not None and place.array.flags.c_contiguous:
            return place.moved(_as_kernel_array(place.array, found, source)), name
        if found == "table":
            raise NotTraceable("a fused operation reads memory that is not known")
        buffer = new_array(arg.value if isinstance(arg, Node) else arg)
        into = self.names.constant(buffer)
        self.body.add(f"copyto({into}, {name})", ufunc_loops.copy_call(place, Location.of(buffer)))
        return Location.of(_as_kernel_array(buffer, found, source)), into

    def _group_destination(
        self, node: Node, source: KernelSource, end: int, claimed: set[int]
    ) -> tuple[Host, int | None]:
        """Choose where a group's result is stored; return the array, and which operand it overwrites, if any.

        That is one that is read for the last time in the group, and by no pass after the result is written.
        """
        slot = self.join_slots.get(id(node))
        if slot is not None:
            self.names.assign(node, Store(self.names.constant(slot), slot))
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
            owned = store.donated_index is not None and self.in_place_targets.get(id(node)) == store.donated_index
            ends = self.last_use[id(operand)] <= end
            if (owned or store.pooled) and ends and source.last_read[id(operand)] <= source.written[id(node)]:
                claimed.add(id(store))
                self.names.assign(node, store)
                return store.array, k
        array = self.pool.take(node.value)
        self.names.assign(node, Store(self.names.constant(array), array, pooled=True))
        return array, None

    def _write_reduce(self, node: Node) -> None:
        name, axis = self.names.of(node.args[0]), node.options["axis"]
        given = self._location(node.args[0], name)
        into = self._destination(node)
        text = f"{self.names.constant(node.function)}.reduce({name}, {axis}, None, {into}, {node.options['keepdims']})"
        self.body.add(text, *ufunc_loops.reduction_calls(node.function, given, self._location(node, into), axis))

    def _write_astype(self, node: Node) -> None:
        source = self.names.of(node.args[0])
        given = self._location(node.args[0], source)
        into = self._destination(node)
        self.body.add(f"copyto({into}, {source}, 'unsafe')", ufunc_loops.copy_call(given, self._location(node, into)))

    def _write_where(self, node: Node) -> None:
        kind = node.value.dtype
        values = [arg if isinstance(arg, Node) else np.asarray(arg).astype(kind) for arg in node.args[1:]]
        condition, chosen, other = (self.names.operand(arg, {kind}) for arg in (node.args[0], *values))
        into = self._destination(node)
        self.body.add(f"copyto({into}, {other})")
        self.body.add(f"copyto({into}, {chosen}, where={condition})")

    def _write_copy(self, into: Host, source: Any) -> None:
        """Write the copy of a node into memory that exists now."""
        name = self.names.of(source)
        call = ufunc_loops.copy_call(self._location(source, name), Location.of(into))
        self.body.add(f"copyto({self.names.constant(into)}, {name})", call)

    def _write_join(self, node: Node) -> None:
        array = self.join_slots.get(id(node))
        if array is None:
            array = self.pool.take(node.value)
        self.names.assign(node, Store(self.names.constant(array), array))
        for part, place in zip(node.args, join_slices(node, array), strict=True):
            if not isinstance(part, Node):
                np.copyto(place, part)
            elif not self._is_in_join(part, place):
                self._write_copy(place, part)

    def _write_back(self) -> None:
        """Copy the successors of donated arrays that are stored elsewhere to the donated buffers."""
        for i, leaf in enumerate(self.successors):
            home = self.donated_buffers[i]
            if not isinstance(leaf, Node):
                self.body.add(f"copyto({self.names.constant(home)}, {self.names.constant(np.asarray(leaf))})")
            elif self.names.stores[id(leaf)].array is not home or self.names.of(leaf) != self.names.constant(home):
                if self.names.stores[id(leaf)].donated_index is not None:
                    raise NotTraceable("donated arrays change places")
                self._write_copy(home, leaf)

    def _result(self, i: int, leaf: Any) -> str:
        """Return the name of a result that shares no memory with the plan, nor with donated arrays to be changed."""
        if not isinstance(leaf, Node):
            return f"{self.names.constant(np.asarray(leaf))}.copy()"
        if id(leaf) in self.newly_allocated or (
            root(leaf).kind == "input" and self.names.stores[id(leaf)].array is None
        ):
            return self.names.of(leaf)
        self.body.add_copy(f"r{i}", self.names.of(leaf))
        return f"r{i}"

    # Memory

    def _destination(self, node: Node, in_place: bool = False) -> str:
        """Choose where *node* is stored, and return its name."""
        slot = self.join_slots.get(id(node))
        if slot is not None:
            self.names.assign(node, Store(self.names.constant(slot), slot))
        elif in_place and (store := self._reusable_operand(node)) is not None:
            self.names.assign(node, store)
        else:
            array = self.pool.take(node.value)
            self.names.assign(node, Store(self.names.constant(array), array, pooled=True))
        return self.names.of(node)

    def _reusable_operand(self, node: Node) -> Store | None:
        """Return the store of an operand of the same shape and dtype that is read here for the last time, or None."""
        for operand in node.operands:
            store = self.names.stores[id(operand)]
            if operand is not root(operand) or self.last_use[id(operand)] != self.position[id(node)]:
                continue
            if operand.value.shape != node.value.shape or operand.value.dtype != node.value.dtype:
                continue
            if store.donated_index is not None and self.in_place_targets.get(id(node)) == store.donated_index:
                return store
            if store.pooled:
                return store
        return None

    def _reserve_joins(self) -> None:
        """Reserve slices of each join's array for its parts, where one operation computes a part and can write it."""
        for node in self.nodes:
            if node.kind != "join":
                continue
            array = new_array(node.value)
            self.join_slots[id(node)] = array
            for part, place in zip(node.args, join_slices(node, array), strict=True):
                maker = root(part) if isinstance(part, Node) else None
                if maker is None or maker.kind not in COMPUTED or id(maker) in self.join_slots:
                    continue
                ends_here = self.last_use[id(maker)] == self.position[id(node)]
                if ends_here and maker.value.dtype == array.dtype and is_reshape_of(part, maker):
                    self.join_slots[id(maker)] = place.reshape(maker.value.shape)

    def _is_in_join(self, part: Node, place: Host) -> bool:
        slot = self.join_slots.get(id(root(part)))
        return slot is not None and np.may_share_memory(slot, place)

    def _release(self, node: Node) -> None:
        """Give back the buffers that *node* was the last to read."""
        for candidate in {id(root(operand)): root(operand) for operand in (*node.operands, node)}.values():
            store = self.names.stores[id(candidate)]
            if store.pooled and self.last_use[id(candidate)] <= self.position[id(node)]:
                heir = self.names.stores[id(node)] is store and candidate is not node
                if not heir:
                    self.pool.give_back(store)


def _dot(arguments: Any) -> Any:
    """Return the faster of NumPy's two functions for matrices that gives the numbers of ``matmul``.

    With a matrix of one number ``dot`` differs: zero times NaN or infinity is zero, and zeros may have another sign.
    """
    sizes = [arg.value.size if isinstance(arg, Node) else np.size(arg) for arg in arguments]
    return np.matmul if 1 in sizes else np.dot


def _as_kernel_array(array: Host, found: str, source: KernelSource) -> Host:
    """Return an array in the shape that a kernel takes: tables with rows and columns, all else as vectors."""
    return array.reshape(-1) if found != "table" or source.flat else array.reshape(-1, source.columns)


def _node_of(leaf: Any) -> Any:
    return leaf.node if isinstance(leaf, Traced) else leaf
