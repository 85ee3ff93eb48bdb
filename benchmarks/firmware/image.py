# SPDX-License-Identifier: Apache-2.0
"""Cost of the image: bytes, time from reset to the first write, time a step, heap.

    python -m benchmarks.firmware.image [SCENARIO] [--seconds N] [--shift 3]

CPython runs a scenario and captures it. The image gets the inputs of the capture in its second slot
and steps the agent with them (`benchmarks.firmware.board_module`), under `-icount shift=3`: 2^3 ns
an instruction, 125 million a second, the class of an STM32F4. So all times are counted instructions
and equal in each run. They do not include wait states of flash or interrupts of UARTs.

The benchmark makes two passes. The first measures times, with the garbage collections of the
runtime. The second collects garbage every `--watch` steps and measures the remaining heap.
"""

import argparse
import json
import struct
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from agent.commands import profiles
from benchmarks.common import Record, describe_machine, progress, show
from deploy.errors import DeployError
from deploy.firmware import memory_layout
from deploy.firmware.application.romfs import build_application, compile_module
from deploy.firmware.board_image import Image, build_firmware
from deploy.firmware.boards import QEMU_BOARDS
from deploy.firmware.build_tools import CACHE
from deploy.firmware.qemu import run_image
from hil.errors import BenchError
from hil.kernel.dut import InProcessDut
from hil.run.capture import CapturingDut, RunCapture
from hil.run.virtual import VirtualRun
from hil.scenario.loader import find

MODULE = "benchmarks/firmware/board_module.py"
TARGET = "agent/runtime/micropython.mpy"
KINDS = {"start": 0, "receive": 1, "event": 2}
HEAP = 262_144
_HEAD = struct.Struct(">QBBH")
_TIMEOUT_S = 550


def capture_scenario(name: str, seconds: float | None, seed: int) -> RunCapture:
    """Run a scenario on CPython; return its inputs and outputs. Raises BenchError."""
    scenario = find(name)
    if seconds is not None:
        events = tuple(event for event in scenario.events if event.at_s < seconds)
        scenario = replace(scenario, seconds=seconds, events=events)
    capture = RunCapture({})
    run = VirtualRun(scenario, seed, lambda *setting: CapturingDut(InProcessDut(*setting), capture))
    try:
        run.run()
    finally:
        run.dut.close()
    # A board writes its status to a line, in chunks.
    capture.config = run.config | {"state": "uart:4?baud=115200"}
    return capture


def pack_inputs(capture: RunCapture) -> bytes:
    """Pack the inputs for the board, up to the size of a slot."""
    out, count = bytearray(4), 0
    for at, port, kind, data in capture.inputs:
        if kind not in KINDS:
            continue  # the end of the run, which is not an input
        entry = _HEAD.pack(at, max(port, 0), KINDS[kind], len(data)) + data
        if len(out) + len(entry) > memory_layout.SLOT_BYTES:
            break
        out += entry
        count += 1
    out[:4] = struct.pack(">I", count)
    return bytes(out)


def play_capture(
    capture: RunCapture, folder: Path, collect_every: int, shift: int, heap: int
) -> Record:
    """Run the image with the measuring module; return its result."""
    config = json.dumps(
        {"config": capture.config, "names": sorted(profiles()), "bench_watch": collect_every}
    )
    board = QEMU_BOARDS["qemu-mps2"]
    app_path, inputs = folder / "app.bin", folder / "inputs.bin"
    replaced = {TARGET: compile_module(MODULE, CACHE / "mpy")}
    app_path.write_bytes(memory_layout.add_header(build_application(config.encode(), replaced), 1))
    inputs.write_bytes(pack_inputs(capture))
    image = Image(board, build_firmware(board, heap), app_path)
    slots = {"a": app_path, "b": inputs}
    with run_image(image, folder=folder, shift=shift, slots=slots) as machine:
        output = machine.wait_for("BENCH |Error|ended with [^0]", _TIMEOUT_S)
        if not output.startswith("BENCH "):
            raise BenchError("\n".join(machine.console[-12:]))
    result: Record = json.loads(output[len("BENCH ") :])
    result["app_bytes"] = len(build_application(config.encode()))
    result["firmware_bytes"] = _flash_bytes(image.firmware)
    return result


def _flash_bytes(elf: Path) -> int:
    """Return the bytes in flash of a 32-bit little-endian ELF: the file sizes of its segments."""
    data = elf.read_bytes()
    at, size, count = *struct.unpack_from("<I", data, 28), *struct.unpack_from("<HH", data, 42)
    return sum(struct.unpack_from("<8I", data, at + n * size)[4] for n in range(count))


def measure(arguments: argparse.Namespace) -> Record:
    """Run both passes."""
    capture = capture_scenario(arguments.scenario, arguments.seconds, arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        common_arguments = (capture, Path(name))
        progress("timed pass")
        timed = play_capture(*common_arguments, 0, arguments.shift, arguments.heap)
        progress("heap pass")
        watched = play_capture(*common_arguments, arguments.watch, arguments.shift, arguments.heap)
    live = watched["live"][1:]
    record: Record = {
        "scenario": arguments.scenario,
        "virtual_s": round((capture.lines[-1][0] - capture.lines[0][0]) / 1e6),
        "ns_per_instruction": 1 << arguments.shift,
        "firmware_bytes": timed["firmware_bytes"],
        "app_bytes": timed["app_bytes"],
        "boot_ms": timed["entered_us"] // 1000,
        "agent_ready_ms": timed["ready_us"] // 1000,
        "first_write_ms": (timed["ready_us"] + timed["first_write_us"]) // 1000,
        "heap_kib": round(timed["heap"] / 1024, 1),
        "start_kib": round(timed["at_start"] / 1024, 1),
        "peak_kib": round(watched["peak"] / 1024, 1),
        "live_bytes": live,
    }
    for key in (
        "collect_us",
        "turns",
        "turn_p99_us",
        "turn_max_us",
        "cycles",
        "cycle_p99_us",
        "cycle_max_us",
    ):
        record[key] = timed[key]
    return record


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.firmware.image",
        description="Size, start, time a step and heap of the ARM image, in counted instructions.",
        epilog="example: python -m benchmarks.firmware.image link-alarm --shift 3",
    )
    parser.add_argument("scenario", nargs="?", default="link-alarm", metavar="SCENARIO")
    parser.add_argument(
        "--seconds", type=float, metavar="N", help="duration (that of the scenario)"
    )
    parser.add_argument("--shift", type=int, default=3, metavar="N", help="2^N ns an instruction")
    parser.add_argument(
        "--watch", type=int, default=50, metavar="N", help="steps between heap measurements"
    )
    parser.add_argument("--heap", type=int, default=HEAP, metavar="N", help=f"bytes ({HEAP})")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--json", action="store_true", help="print one JSON record")
    arguments = parser.parse_args()
    about = describe_machine()
    try:
        record = {"machine": about, **measure(arguments)}
    except (BenchError, DeployError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    rows = [[key, str(value)] for key, value in record.items() if key != "machine"]
    show(record, arguments.json, ["", ""], rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
