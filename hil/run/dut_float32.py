"""The controller under test with a board's 32-bit floats: lock-step with another interpreter.

Its control loops round otherwise than those of 64 bits, so that in a closed loop the two drift
apart. Judge it by replay (`coldloop hil replay --dut unix-f32 --counts 1`) or by a scenario's
expectations, never by a digest.
"""

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from hil.errors import BenchError
from hil.shells.lockstep import LockStep

ROOT = Path(__file__).resolve().parents[2]


@functools.cache
def interpreter() -> str:
    """Build the interpreter, or find the one in the cache. Raises BenchError."""
    words = [sys.executable, str(ROOT / "coldloop.py"), "firmware", "build", "--json"]
    words += ["--board", "unix-f32"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise BenchError(f"unix-f32: {done.stderr.strip()}")
    return str(json.loads(done.stdout)["interpreter"])


class UnixF32(LockStep):
    """The agent in that interpreter. Raises BenchError."""

    def __init__(
        self,
        config: dict[str, Any],
        profiles: dict[str, dict[str, Any]],
        records: dict[str, bytes] | None = None,
    ) -> None:
        super().__init__(config, profiles, records, interpreter=interpreter())
