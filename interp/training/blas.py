"""A BLAS matrix product that compiled loops can call, each thread for itself, and the number of threads it may start."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from interp.training.threads import torch_threads

_AMD = ("znver", "bdver", "btver", "amdfam", "barcelona", "k8", "athlon", "opteron")


@dataclass(frozen=True)
class Blas:
    """A BLAS library.

    Args:
        name: ``MKL`` (inside torch) or ``OpenBLAS`` (inside SciPy).
        sgemm: address of its single-precision matrix product, in Fortran's calling convention with 32-bit integers.
        library: OpenBLAS itself, where its number of threads can be set.
    """

    name: str
    sgemm: int
    library: ctypes.CDLL | None = None

    @contextmanager
    def threads(self, threads: int) -> Iterator[None]:
        """Let torch and this library start this many threads inside the block."""
        with torch_threads(threads):
            before = self.library.scipy_openblas_get_num_threads() if self.library else threads
            if self.library and before != threads:
                self.library.scipy_openblas_set_num_threads(threads)
            try:
                yield
            finally:
                if self.library and before != threads:
                    self.library.scipy_openblas_set_num_threads(before)


def find_blas(processor: str) -> Blas:
    """The faster BLAS for a processor, named as LLVM names it: torch's MKL where there is one, except on AMD, else SciPy's."""
    if not processor.startswith(_AMD):
        mkl = _torch_sgemm()
        if mkl is not None:
            return Blas("MKL", mkl)
    return _openblas()


def _torch_sgemm() -> int | None:
    """Torch exports MKL's routines from its own library on Linux; elsewhere it may not contain MKL at all."""
    path = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    if not sys.platform.startswith("linux") or not path.is_file() or not torch.backends.mkl.is_available():  # type: ignore[no-untyped-call]
        return None
    routine = getattr(ctypes.CDLL(str(path)), "sgemm_", None)
    return ctypes.cast(routine, ctypes.c_void_p).value if routine else None


def _openblas() -> Blas:
    import scipy
    from numba.extending import get_cython_function_address

    address: int = get_cython_function_address("scipy.linalg.cython_blas", "sgemm")
    bundled = Path(scipy.__file__).parent.parent / "scipy.libs", Path(scipy.__file__).parent / ".dylibs"
    for path in sorted(file for folder in bundled for file in folder.glob("*scipy_openblas*")):
        library = ctypes.CDLL(str(path))
        if hasattr(library, "scipy_openblas_set_num_threads") and hasattr(library, "scipy_openblas_get_num_threads"):
            return Blas("OpenBLAS", address, library)
    return Blas("SciPy's BLAS", address)
