"""Compile LLVM's text to machine code for this processor, in this process, by llvmlite."""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import find_spec
from typing import Any

__all__ = ["accepts", "available", "has_feature", "load"]

_problems: list[str] = []
"""Why LLVM cannot be used here, once it has failed: llvmlite is too old, or no memory may hold new machine code."""


def available() -> bool:
    """Say whether LLVM can be used, as far as is known without importing it.

    Compiled code reads where an array lies in the memory of CPython's objects, which other Pythons do not have.
    """
    return not _problems and sys.implementation.name == "cpython" and _is_installed()


@cache
def _is_installed() -> bool:
    return find_spec("llvmlite") is not None


def load(text: str, names: list[str]) -> list[int]:
    """Optimize and compile a module, and return the addresses of the functions of these names.

    The code is never freed, as calls of it may be anywhere. No two modules have functions of the same name.
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


def accepts(text: str) -> bool:
    """Say whether this release of LLVM accepts a text. Nothing is compiled, and LLVM stays available if it does not."""
    from llvmlite import binding

    try:
        binding.parse_assembly(text).verify()
    except RuntimeError:
        return False
    return True


@cache
def has_feature(feature: str) -> bool:
    """Say whether this processor has a feature, by LLVM's name of it."""
    from llvmlite import binding

    return bool(binding.get_host_cpu_features().get(feature, False))


@cache
def _engine() -> tuple[Any, Any]:
    """Return LLVM's target machine, which is this processor, and the engine that compiles and holds the code."""
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    binding.check_jit_execution()  # else code would be run where none may be, as where a system forbids it
    found, features = binding.Target.from_default_triple(), binding.get_host_cpu_features().flatten()
    target = found.create_target_machine(binding.get_host_cpu_name(), features, opt=3, codemodel="jitdefault", jit=True)
    return target, binding.create_mcjit_compiler(binding.parse_assembly(""), target)
