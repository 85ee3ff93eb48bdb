# SPDX-License-Identifier: Apache-2.0
"""Speed and results of the NMEA parser and of other parsers on the same capture, in one run.

    python -m benchmarks.gnss.nmea_peers [CAPTURE] [--seconds N] [--runs N] [--python PYTHON]

Without a capture the emulated receiver of the bench makes one, in four dialects. Each figure is the
best of the runs, in lines a second, with its ratio to the first row; the load of the machine
affects all rows equally. The other parsers are gpsdecode (gpsd-clients), and pynmea2 and pynmeagps
in the interpreter of `--python`:

    python -m venv /tmp/peers && /tmp/peers/bin/pip install pynmea2 pynmeagps

"frame + parse" returns typed sentences; "epochs" groups them; "with satellites" also decodes all
satellites of each epoch, as `coldloop nmea decode` does. pynmea2 decodes a field at its first read,
so its second row reads all fields. The rows of MicroPython are those of the unix port. Memory is
the growth of the live heap over the capture, with a heap of 256 kwords. Goals: 60,000 lines/s,
10,000 on MicroPython, 16 KiB.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drivers.gnss.receiver import ReceiverDriver
from protocols.nmea.framing import Framer
from protocols.nmea.sentences import parse
from tests.support import nmea_captures

ROOT = Path(__file__).resolve().parents[2]
CHUNK = 1024

PEERS = r"""
import sys, time
stream = open(sys.argv[2], "rb").read()
lines = [l.decode("latin-1") for l in stream.split(b"\r\n") if l]
def pynmea2_lazy():
    import pynmea2
    for line in lines:
        try: pynmea2.parse(line)
        except Exception: pass
def pynmea2_all():
    import pynmea2
    for line in lines:
        try:
            message = pynmea2.parse(line)
            for field in message.fields:
                getattr(message, field[1], None)
        except Exception: pass
def pynmeagps():
    from io import BytesIO
    from pynmeagps import NMEAReader
    for _ in NMEAReader(BytesIO(stream), quitonerror=0): pass
call = {"pynmea2": pynmea2_lazy, "pynmea2, all fields": pynmea2_all, "pynmeagps": pynmeagps}
run = call[sys.argv[1]]
best = 1e9
for _ in range(int(sys.argv[3])):
    start = time.perf_counter()
    run()
    best = min(best, time.perf_counter() - start)
print(best)
"""

MICROPYTHON = r"""
import gc, sys, time
sys.path.insert(0, %r)
from drivers.gnss.receiver import ReceiverDriver
from protocols.nmea.framing import Framer
from protocols.nmea.sentences import parse
def frame_and_parse(file, stop):
    framer = Framer()
    while True:
        data = file.read(1024)
        if not data or framer.sentences > stop: return framer.sentences
        for _, body in framer.feed(data): parse(body)
def group_epochs(file, stop):
    receiver = ReceiverDriver(0, 115200, timing_valid=False)
    while True:
        data = file.read(1024)
        if not data or receiver.framer.sentences > stop: return receiver.framer.sentences
        receiver.receive(data, 0)
        receiver.take_fixes()
def decode_satellites(file, stop):
    receiver = ReceiverDriver(0, 115200, timing_valid=False)
    before = 0
    while True:
        data = file.read(1024)
        if not data or receiver.framer.sentences > stop: break
        receiver.receive(data, 0)
        receiver.take_fixes()
        for epoch in receiver.take_epochs(): epoch.all_flags(); epoch.used
        if not before and receiver.framer.sentences > 60:
            gc.collect(); before = gc.mem_alloc()
    gc.collect()
    print("memory", gc.mem_alloc() - before)
    return receiver.framer.sentences
for name, run in (
    ("frame + parse", frame_and_parse),
    ("epochs", group_epochs),
    ("with satellites", decode_satellites),
):
    best = 0
    for _ in range(%d):
        file = open(%r, "rb")
        start = time.ticks_us()
        count = run(file, 1 << 30)
        best = max(best, count * 1000000 // time.ticks_diff(time.ticks_us(), start))
        file.close()
    print("rate", best, name)
"""


def frame_stream(stream: bytes) -> None:
    framer = Framer()
    for at in range(0, len(stream), CHUNK):
        for _, body in framer.feed(stream[at : at + CHUNK]):
            parse(body)


def group_epochs(stream: bytes) -> None:
    receiver = ReceiverDriver(0, 115200, timing_valid=False)
    for at in range(0, len(stream), CHUNK):
        receiver.receive(stream[at : at + CHUNK], 0)
        receiver.take_fixes()


def decode_satellites(stream: bytes) -> None:
    receiver = ReceiverDriver(0, 115200, max_epochs=64, timing_valid=False)
    for at in range(0, len(stream), CHUNK):
        receiver.receive(stream[at : at + CHUNK], 0)
        receiver.take_fixes()
        for epoch in receiver.take_epochs():
            epoch.all_flags()


def best_of(runs: int, call: "Callable[[bytes], None]", stream: bytes) -> float:
    best = 1e9
    for _ in range(runs):
        start = time.perf_counter()
        call(stream)
        best = min(best, time.perf_counter() - start)
    return best


def gpsdecode(path: Path, runs: int) -> "float | None":
    """Return seconds of gpsdecode without its start time on an empty file; None: not installed."""
    program = shutil.which("gpsdecode")
    if program is None:
        return None
    best = start_up = 1e9
    for _ in range(runs):
        for source in (path, Path("/dev/null")):
            with source.open("rb") as file:
                start = time.perf_counter()
                subprocess.run([program], stdin=file, stdout=subprocess.DEVNULL, check=True)
                taken = time.perf_counter() - start
            if source is path:
                best = min(best, taken)
            else:
                start_up = min(start_up, taken)
    return best - start_up


def peer(python: str, name: str, path: Path, runs: int) -> "float | None":
    completed = subprocess.run(
        [python, "-c", PEERS, name, str(path), str(runs)],
        capture_output=True,
        text=True,
        check=False,
    )
    return float(completed.stdout) if completed.returncode == 0 else None


def micropython(path: Path, runs: int) -> "tuple[dict[str, int], int | None]":
    """Return lines a second by row, and bytes of heap growth; empty without MicroPython."""
    program = shutil.which("micropython")
    if program is None:
        return {}, None
    code = MICROPYTHON % (str(ROOT), runs, str(path))
    completed = subprocess.run(
        [program, "-X", "heapsize=256wK", "-c", code], capture_output=True, text=True, check=True
    )
    rates, growth = {}, None
    for text in completed.stdout.splitlines():
        kind, number, *name = text.split(" ", 2)
        if kind == "memory":
            growth = max(int(number), growth or 0)
        else:
            rates[name[0]] = int(number)
    return rates, growth


def correctness(stream: bytes) -> "dict[str, Any]":
    """Return counts of sentences and epochs of the capture."""
    receiver = ReceiverDriver(0, 115200, max_epochs=1 << 20, timing_valid=False)
    receiver.receive(stream, 0)
    epochs = receiver.take_epochs() + receiver.finish_stream()
    framer, decoder = receiver.framer, receiver.decoder
    return {
        "lines": stream.count(b"$"),
        "framed": framer.sentences,
        "typed": decoder.decoded,
        "unknown": decoder.unknown,
        "malformed": decoder.malformed,
        "bad": framer.bad_checksum + framer.unprintable,
        "epochs": len(epochs),
        "valid": sum(epoch.valid for epoch in epochs),
    }


def measure(stream: bytes, path: Path, runs: int, python: str) -> "dict[str, Any]":
    count = stream.count(b"$")
    seconds: dict[str, float | None] = {
        "coldloop, frame + parse": best_of(runs, frame_stream, stream),
        "coldloop, epochs": best_of(runs, group_epochs, stream),
        "coldloop, with satellites": best_of(runs, decode_satellites, stream),
        "gpsdecode": gpsdecode(path, runs),
    }
    for name in ("pynmea2", "pynmea2, all fields", "pynmeagps"):
        seconds[name] = peer(python, name, path, runs)
    rates = {name: None if s is None else round(count / s) for name, s in seconds.items()}
    on_board, growth = micropython(path, runs)
    for name, rate in on_board.items():
        rates["MicroPython, " + name] = rate
    return {"rates": rates, "micropython_growth_bytes": growth, "capture": correctness(stream)}


def show(result: "dict[str, Any]") -> None:
    rates = result["rates"]
    first = rates["coldloop, frame + parse"]
    for name, rate in rates.items():
        text = "not there" if rate is None else f"{rate:>9,} lines/s {rate / first:7.2f}"
        print(f"{name:<32}{text}")
    print("live memory growth on MicroPython:", result["micropython_growth_bytes"], "bytes")
    print("capture:", ", ".join(f"{value} {key}" for key, value in result["capture"].items()))


def main() -> int:
    parser = argparse.ArgumentParser(description="NMEA: lines a second, ours and peers'.")
    parser.add_argument("capture", nargs="?", type=Path)
    parser.add_argument("--seconds", type=int, default=600, help="of each made dialect")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--python", default=sys.executable, help="interpreter with the peers")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.capture is not None:
        stream = arguments.capture.read_bytes()
    else:
        seconds = arguments.seconds
        stream = (
            nmea_captures.capture(seconds=seconds)
            + nmea_captures.capture("beidou-talker", seconds)
            + nmea_captures.casic(seconds)
            + nmea_captures.gsv_first(seconds)
        )
    with tempfile.NamedTemporaryFile(suffix=".nmea") as file:
        file.write(stream)
        file.flush()
        result = measure(stream, Path(file.name), arguments.runs, arguments.python)
    if arguments.json:
        print(json.dumps(result))
    else:
        show(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
