# SPDX-License-Identifier: Apache-2.0
"""Runs a function in a copy of this process, and returns its result.

Does not limit the time. The copy (`os.fork`) has all objects as they are now, so that many runs
start from one warm state. Its changes end with it. The result passes as a pickle.
"""

from __future__ import annotations

import gc
import os
import pickle
import sys
from collections.abc import Callable
from typing import TypeVar

from hil.errors import BenchError

Result = TypeVar("Result")


def run_in_copy(work: Callable[[], Result]) -> Result:
    """Call `work` in a copy of this process. Raises BenchError with the text of its exception."""
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        _work_and_exit(work, reading, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    os.waitpid(child, 0)
    if not data:
        raise BenchError("a copy of the run ended without a result")
    is_good, result = pickle.loads(data)
    if not is_good:
        raise BenchError(f"a copy of the run failed: {result}")
    return result  # type: ignore[no-any-return]


def _work_and_exit(work: Callable[[], Result], reading: int, writing: int) -> None:
    if hasattr(gc, "freeze"):  # PyPy has none
        gc.freeze()  # a collection would write to all pages, and copy them
    os.close(reading)
    try:
        answer = (True, work())
    except BaseException as error:  # noqa: BLE001 - the other process must learn of it
        answer = (False, repr(error))  # type: ignore[assignment]
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(pickle.dumps(answer))
    os._exit(0)
