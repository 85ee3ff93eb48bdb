# SPDX-License-Identifier: Apache-2.0
"""Cost of the verification of a signature, and its longest slice in a tick.

    python -m benchmarks.remote.signing

Verifies messages of several lengths, on CPython and on MicroPython (unix port, heap of a board), in
one run beside `cryptography` (OpenSSL). The output is the wall time of the verification and of its
longest slice, and the CPU time (user) of a verification, which depends least on other processes.
"""

import json
import resource
import statistics
import subprocess
import sys
import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from benchmarks.common import describe_machine

LENGTHS = (150, 300, 600)
ROUNDS = 15
CPU_RUNS = 9
_CODE = """
import sys, json, time
sys.path.insert(0, ".")
from protocols.signing.ed25519 import Verification
us = getattr(time, "ticks_us", None) or (lambda: time.perf_counter_ns() // 1000)
public, signature = [bytes.fromhex(word) for word in sys.argv[-3:-1]]
message = (bytes(range(256)) * 3)[: int(sys.argv[-1])]
whole, worst = [], []
for _ in range({rounds}):
    verification, longest, start = Verification(public, message, signature), 0, us()
    while verification.valid is None:
        slice_start = us()
        verification.step()
        longest = max(longest, us() - slice_start)
    whole.append(us() - start)
    worst.append(longest)
    assert verification.valid
print(json.dumps([min(whole), sorted(whole)[len(whole) // 2], sorted(worst)[len(worst) // 2]]))
"""


def measure(command: list[str], arguments: list[str], rounds: int = ROUNDS) -> list[int]:
    """Return minimum and median time of a verification, and its longest slice, microseconds."""
    code = _CODE.replace("{rounds}", str(rounds))
    output = subprocess.run([*command, "-c", code, *arguments], capture_output=True, check=True)
    result: list[int] = json.loads(output.stdout)
    return result


def cpu_ms(command: list[str], arguments: list[str]) -> float:
    """Return the CPU time of a verification without the start: the median of some means."""

    def user_s(rounds: int) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        measure(command, arguments, rounds)
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before

    runs = [user_s(1 + 4 * ROUNDS) - user_s(1) for _ in range(CPU_RUNS)]
    return statistics.median(runs) * 1000 / (4 * ROUNDS)


def main() -> None:
    print(json.dumps(describe_machine()))
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    for length in LENGTHS:
        message = (bytes(range(256)) * 3)[:length]
        signature = key.sign(message)
        arguments = [public.hex(), signature.hex(), str(length)]
        started_at = time.perf_counter_ns()
        for _ in range(100):
            key.public_key().verify(signature, message)
        peer = (time.perf_counter_ns() - started_at) // 100_000
        board = ["micropython", "-X", "heapsize=256wK"]
        for name, command in (("CPython", [sys.executable]), ("MicroPython", board)):
            minimum, median, slice_us = measure(command, arguments)
            print(
                f"{length:4d} B  {name:12s} {minimum / 1000:5.1f} ms minimum, "
                f"{median / 1000:5.1f} ms median, {cpu_ms(command, arguments):5.1f} ms CPU time, "
                f"longest slice {slice_us / 1000:4.1f} ms, {median / peer:4.0f} x OpenSSL"
            )


if __name__ == "__main__":
    main()
