"""What goes wrong on a GPU at work, as a BackendError that says what to do: no memory left, no library, a lost GPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from xpnet.errors import BackendError
from xpnet.extras import install_command

__all__ = ["explain", "explained"]

FAILURES = {"CUBLASError", "CUDADriverError", "CUDARuntimeError"}
"""Names of the exceptions with which CUDA's libraries report a failure. By name, as importing CuPy's class for a
library loads the library."""

FULL = ("cudaErrorMemoryAllocation", "CUDA_ERROR_OUT_OF_MEMORY", "CUBLAS_STATUS_ALLOC_FAILED")
"""What those say where memory is all that is missing."""

LOST = (
    *("cudaErrorIllegalAddress", "cudaErrorMisalignedAddress", "cudaErrorLaunchFailure", "cudaErrorLaunchTimeout"),
    *("cudaErrorHardwareStackError", "cudaErrorIllegalInstruction", "cudaErrorInvalidPc", "cudaErrorAssert"),
    *("cudaErrorInvalidAddressSpace", "cudaErrorECCUncorrectable", "cudaErrorUnknown"),
    *("CUDA_ERROR_ILLEGAL_ADDRESS", "CUDA_ERROR_MISALIGNED_ADDRESS", "CUDA_ERROR_LAUNCH_FAILED"),
    *("CUDA_ERROR_LAUNCH_TIMEOUT", "CUDA_ERROR_HARDWARE_STACK_ERROR", "CUDA_ERROR_ILLEGAL_INSTRUCTION"),
    *("CUDA_ERROR_INVALID_PC", "CUDA_ERROR_ASSERT", "CUDA_ERROR_ECC_UNCORRECTABLE", "CUDA_ERROR_UNKNOWN"),
    "CUBLAS_STATUS_EXECUTION_FAILED",
)
"""What they say after which a process cannot use the GPU any more (cudaError_t in CUDA's documentation)."""

FOREIGN = (
    *("cudaErrorNoKernelImageForDevice", "cudaErrorUnsupportedPtxVersion", "cudaErrorInsufficientDriver"),
    *("CUDA_ERROR_NO_BINARY_FOR_GPU", "CUDA_ERROR_UNSUPPORTED_PTX_VERSION"),
)
"""What they say where what is installed was not made for this GPU or driver."""

LIBRARIES = "pip install 'xpnet[cuda13x-ctk]' (CUDA 12: 'xpnet[cuda12x-ctk]')"


def explained(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that raises BackendError where CuPy fails; other exceptions go through."""

    @wraps(function)
    def guarded(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except Exception as error:
            told = explain(error)
            if told is None:
                raise
            raise told from error

    return guarded


def explain(error: Exception) -> BackendError | None:
    """Return what to say of an exception of CuPy's; None for one that is not a failure of GPU or installation."""
    kinds = {kind.__name__ for given in (error, error.__cause__) for kind in type(given).__mro__}
    text = str(error).strip().partition("\n")[0]

    def says(*names: str) -> bool:
        return bool(kinds & FAILURES) and any(name in text for name in names)

    if "OutOfMemoryError" in kinds or says(*FULL):
        return BackendError(
            f"the GPU has no memory left ({text}). Take a smaller batch_size, or give the data as a memory-mapped "
            "array or an iterable of batches, which stay on the host; nvidia-smi lists what else is on the GPU. The "
            "network's weights are still there, but a step that was interrupted may be half done: go on from a copy of "
            "net.get_weights() or from a file of fit(..., checkpoint='run/')"
        )
    if says(*LOST):
        return BackendError(
            f"the GPU failed ({text}). What lies on it is lost as a rule, and this process cannot use it any more: "
            "start a new one. fit(..., checkpoint='run/') keeps weights on disk: xpnet.load() reads each of its files "
            "on any backend, and resume=True goes on from the last. If it happens again, nvidia-smi -q says how the "
            "card is"
        )
    libraries = install_command(LIBRARIES)
    if says(*FOREIGN):
        return BackendError(f"CuPy and CUDA here were not made for this GPU or its driver ({text}); try {libraries}")
    if "DynamicLibNotFoundError" in kinds or (isinstance(error, ImportError) and ".so" in text):
        return BackendError(f"CuPy cannot load one of CUDA's libraries ({text}); this brings them: {libraries}")
    return None
