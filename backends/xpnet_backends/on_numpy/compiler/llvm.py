"""LLVM, by llvmlite: text of its language made into machine code of this processor, in this process."""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import find_spec
from typing import Any

__all__ = ["available", "has", "load", "takes"]

_problems: list[str] = []
"""Why LLVM cannot be used here, once that has shown: llvmlite is too old, or no memory may hold new machine code."""


def available() -> bool:
    """Say whether LLVM can be used, as far as is known without importing it.

    Compiled code reads where an array lies in the memory of CPython's objects, which other Pythons do not have.
    """
    return not _problems and sys.implementation.name == "cpython" and _is_installed()


@cache
def _is_installed() -> bool:
    return find_spec("llvmlite") is not None


def load(text: str, names: list[str]) -> list[int]:
    """Return the addresses of functions of a module, after LLVM has optimized and compiled it.

    The code stays as long as the process, as calls of it may stand anywhere. No two modules have functions of one name.
    """
    try:
        from llvmlite import binding

        target, engine = _engine()
        module = binding.parse_assembly(text)
        module.triple, module.data_layout = target.triple, str(target.target_data)
        module.verify()
        options = binding.create_pipeline_tuning_options(speed_level=3)
        options.loop_vectorization = options.loop_unrolling = options.slp_vectorization = True
        passes = binding.create_pass_builder(target, options)
        passes.getModulePassManager().run(module, passes)
        engine.add_module(module)
        engine.finalize_object()
        return [int(engine.get_function_address(name)) for name in names]
    except Exception as error:
        _problems.append(repr(error))  # so that nobody tries again
        raise


def takes(text: str) -> bool:
    """Say whether this release of LLVM reads a text; nothing is compiled, and nothing follows from a no."""
    from llvmlite import binding

    try:
        binding.parse_assembly(text).verify()
    except RuntimeError:
        return False
    return True


@cache
def has(feature: str) -> bool:
    """Say whether this processor has something, by LLVM's name of it."""
    from llvmlite import binding

    return bool(binding.get_host_cpu_features().get(feature, False))


@cache
def _engine() -> tuple[Any, Any]:
    """Return what LLVM compiles for, the processor that this runs on, and what holds the code."""
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    binding.check_jit_execution()  # else code would be run where none may be, as where a system forbids it
    found, features = binding.Target.from_default_triple(), binding.get_host_cpu_features().flatten()
    target = found.create_target_machine(binding.get_host_cpu_name(), features, opt=3, codemodel="jitdefault", jit=True)
    return target, binding.create_mcjit_compiler(binding.parse_assembly(""), target)
