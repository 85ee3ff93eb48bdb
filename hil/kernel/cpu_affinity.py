# SPDX-License-Identifier: Apache-2.0
"""The cores on which a process may run: read and set, also on PyPy.

Does not choose cores; see `hil.shells.lockstep`. CPython has `os.sched_getaffinity` and
`os.sched_setaffinity`. PyPy has neither: there the C library is called, with its mask of bits.
"""

import ctypes
import os

_MASK_BYTES = 128
"""1024 cores, as `cpu_set_t` of the C library."""


def read_cores(pid: int = 0) -> set[int]:
    """Return the cores of a process; 0: this one. Raises `OSError`."""
    read = getattr(os, "sched_getaffinity", None)
    if read is not None:
        return set(read(pid))
    mask = ctypes.create_string_buffer(_MASK_BYTES)
    _check(_libc().sched_getaffinity(pid, _MASK_BYTES, mask))
    bits = int.from_bytes(mask.raw, "little")
    return {core for core in range(8 * _MASK_BYTES) if bits >> core & 1}


def set_cores(pid: int, cores: set[int]) -> None:
    """Bind a process to `cores`; 0: this one. Raises `OSError`."""
    write = getattr(os, "sched_setaffinity", None)
    if write is not None:
        write(pid, cores)
        return
    mask = sum(1 << core for core in cores).to_bytes(_MASK_BYTES, "little")
    _check(_libc().sched_setaffinity(pid, _MASK_BYTES, mask))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
