# SPDX-License-Identifier: Apache-2.0
"""An exception in one piece of the agent, or any bytes on the bus: the loops hold, no tick is lost.

`test_every_call_of_every_piece` is long: each of the first 200 calls of each piece.
"""

from __future__ import annotations

import io
import random

import pytest

from hil.errors import ScenarioError
from hil.kernel.dut import InProcessDut
from hil.run.virtual import VirtualRun
from hil.scenario.loader import parse
from protocols.modbus.crc import with_crc
from tests.hil.digests.shared_runs import on_both, quick_lock_step
from tests.hil.fault.guard_campaign import SITUATIONS, run_situation

PIECES = (
    "supply",
    "pressure",
    "bus",
    "receiver",
    "broker",
    "rpu",
    "valve",
    "pump1",
    "cooling",
    "safety",
    "throttle",
    "log",
    "timekeeping",
    "integrity",
)
CALLS = 200
SAMPLE = 10
ROW = """
name = "fault"
title = "a fault in a piece"
seconds = 60
[row]
it_kw = 60
receiver_dialect = "casic"
parts = "cooling, safety, throttle, log, timekeeping, integrity"
[[expect]]
measure = "supply_c"
unit = "Cel"
min = 26
max = 36
from_s = 10
[[expect]]
measure = "case_c"
unit = "Cel"
max = 75
"""


def event(do: str, text: str, value: float | None = None, at_s: float = 15) -> str:
    lines = [f'[[event]]\nat_s = {at_s}\ndo = "{do}"\ntext = "{text}"']
    if value is not None:
        lines.append(f"value = {value}")
    return "\n".join(lines) + "\n"


def check(text: str, dut: str = "cpython") -> VirtualRun:
    """Run; no tick is missed, and the expectations hold."""
    scenario = parse(ROW + text, "fault.toml")
    makers = {"micropython": quick_lock_step, "both": on_both(quick_lock_step)}
    run = VirtualRun(scenario, 1, makers.get(dut, InProcessDut))
    try:
        run.run()
    finally:
        run.dut.close()
    assert run.status is not None
    assert run.status["ticks"]["missed"] == 0
    assert run.make_result(dut, 1.0).failures == ()
    return run


@pytest.mark.parametrize("piece", PIECES)
def test_sample_of_calls_of_every_piece(piece: str) -> None:
    rng = random.Random(piece)
    for call in sorted({1, *(rng.randint(1, CALLS) for _ in range(SAMPLE // 10))}):
        run = check(event("raise_in", piece, call))
        if call == 1:
            assert run.status is not None
            assert sum(run.status["ticks"]["faults"].values()) == 1, piece


@pytest.mark.parametrize("piece", ["safety memory", "bus memory", "cooling"])
def test_both_interpreters_behave_alike(piece: str) -> None:
    run = check(event("raise_in", piece, 5), "both")
    assert run.status is not None
    assert sum(run.status["ticks"]["faults"].values())


@pytest.mark.soak
@pytest.mark.parametrize("piece", PIECES)
def test_every_call_of_every_piece(piece: str) -> None:
    for call in range(1, CALLS + 1):
        check(event("raise_in", piece, call))
        if call % 10 == 0:
            check(event("raise_in", piece + " memory", call))


def test_frames_of_another_master_change_nothing() -> None:
    frames = "0703000000c8443a", "0c03ff00", "00" * 200, "0c2b0e0101000080" + "00" * 20
    check("".join(event("raw_frame", text, at_s=12 + 3 * i) for i, text in enumerate(frames)))


def random_frame(rng: random.Random) -> bytes:
    """A frame or noise; most of them have a right CRC and the unit of a device."""
    head = bytes((rng.choice((12, 20, 31, 7, 0)), rng.choice((1, 3, 4, 6, 16, 23, 43, 0x83, 99))))
    body = head + rng.randbytes(rng.choice((0, 1, 3, 4, 4, 4, 8, rng.randint(0, 250))))
    return with_crc(body) if rng.random() < 0.8 else body


def test_random_frames() -> None:
    rng = random.Random(14)
    frames = [event("raw_frame", random_frame(rng).hex(), at_s=10 + 0.1 * i) for i in range(300)]
    scenario = parse(ROW.split("[[expect]]", maxsplit=1)[0] + "".join(frames), "frames.toml")
    run = VirtualRun(scenario, 1)
    run.run()
    assert run.contained_faults() == []
    assert run.status is not None
    assert run.status["ticks"]["missed"] == 0


def test_a_contained_error_of_the_code_fails_a_run() -> None:
    """The guard must not hide an error of the agent from the bench."""
    run = VirtualRun(parse(ROW, "quiet.toml"), 1)
    run.dut.inject("safety", 300)
    run.run()
    (failure,) = run.make_result("cpython", 1.0).failures
    assert "fault part safety: InjectedError injected" in failure


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (event("raise_in", "", 3), "event[0].text: a piece is needed"),
        (event("raise_in", "safety"), "event[0].value: raise_in needs a value"),
        (event("raw_frame", "0g"), "event[0].text: '0g' is not hexadecimal"),
        (event("raw_frame", ""), "event[0].text: 1 to 512 bytes are needed"),
        (event("bus_silent", "x"), "event[0].text: bus_silent takes no text"),
    ],
)
def test_wrong_texts_are_refused(text: str, problem: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse(ROW + text, "x.toml")
    assert problem in str(caught.value)


@pytest.mark.parametrize("situation", sorted(SITUATIONS))
def test_sample_of_calls_in_each_situation(situation: str) -> None:
    """Compared with the same run without a fault; `test_each_call_in_each_situation` has all."""
    out = io.StringIO()
    number = sorted(SITUATIONS).index(situation)
    cases, bad = run_situation(situation, 24, out, (number, 12), slice(number, None, 6))
    assert (cases >= 8, bad) == (True, 0), out.getvalue()


@pytest.mark.soak
@pytest.mark.parametrize("situation", sorted(SITUATIONS))
def test_each_call_in_each_situation(situation: str) -> None:
    out = io.StringIO()
    assert run_situation(situation, CALLS, out)[1] == 0, out.getvalue()
