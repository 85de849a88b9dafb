"""LLVM, by llvmlite: text of its language made into machine code of this processor, in this process."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Any

__all__ = ["available", "load"]

_loaded: list[Any] = []
"""Machine code stays as long as the process: calls to it may stand anywhere."""


@cache
def available() -> bool:
    """Say whether llvmlite can be had, without importing it."""
    return find_spec("llvmlite") is not None


def load(text: str, names: list[str]) -> list[int]:
    """Return the addresses of functions of a module, after LLVM has optimized and compiled the module."""
    from llvmlite import binding

    module = binding.parse_assembly(text)
    module.verify()
    target = _target()
    options = binding.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = options.loop_unrolling = True
    passes = binding.create_pass_builder(target, options)
    passes.getModulePassManager().run(module, passes)
    engine = binding.create_mcjit_compiler(module, target)
    engine.finalize_object()
    _loaded.append(engine)
    return [int(engine.get_function_address(name)) for name in names]


def _target() -> Any:
    """Return what LLVM is to compile for: the processor that this runs on."""
    from llvmlite import binding

    _initialize()
    features = binding.get_host_cpu_features().flatten()
    found = binding.Target.from_default_triple()
    return found.create_target_machine(binding.get_host_cpu_name(), features, opt=3, codemodel="jitdefault", jit=True)


@cache
def _initialize() -> None:
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
