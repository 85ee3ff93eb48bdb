# SPDX-License-Identifier: Apache-2.0
"""Figures of the satellite link: alarms by SBD, budgets, and MQTT over an IP link of windows.

    alarm     share of alarms (one datagram each) that two sessions transmit, over 1000 seeds.
              Failures are independent, or one in four comes after the gateway has the message, or
              they depend on the signal (fading). The requirement is 96 %. A session is an attempt
              with a transmission, as networks count and providers bill; an attempt that finds no
              network within 3 s (MO status 32, one failure in six here) is not a session. With
              independent failures 80 of 100 attempts succeed and 3.3 are not sessions. So a session
              succeeds with 0.828 and two with 0.970: 970 of 1000, +- 5. The count of all AT+SBDIX
              stands beside it: 1 - 0.2^2, 960 +- 6, for any scheduler
    budgets   some days with 330 bytes every 5 s, acknowledged by the ground, and a restart every
              hour: the largest bill of a day
    tls       bytes of each form of TLS handshake, with the library of the interpreter in memory
    day       IP bytes of a day of 82 windows with each form, divided by the payload (packets of our
              MQTT client; model of TCP and IP: 40 bytes a packet, one acknowledgement for two)
    linkup    link-up to the first acknowledged block over a shaped path, with each form of TLS,
              beside paho

example: python -m benchmarks.satcom.figures alarm budgets --seeds 1000
"""

import argparse
import random
import sys
from dataclasses import dataclass
from typing import Any

from agent.safety.supervisor import PUMP_TRIP
from benchmarks.common import describe_machine, show
from benchmarks.satcom.link_up import linkup_rows
from benchmarks.satcom.rig import SECOND, SatcomRig
from benchmarks.satcom.tls_day import day_rows, tls_rows
from hil.bench.testbed_settings import TestbedSettings
from hil.devices.satcom.radio import Radio
from protocols.datagram import BULK

Rows = list[list[str]]
_ALARM_AT = 40 * SECOND
_WITHIN = 2
_REQUIRED = 0.96
_TRY, _NO_SESSION = 0.8, 0.2 / 6
"""Shares of the attempts with independent failures: successes, attempts without transmission."""


@dataclass(slots=True)
class AlarmCost:
    """Cost of an alarm: AT+SBDIX, those with a transmission, datagrams, seconds."""

    tries: int
    sessions: int
    datagrams: int
    seconds: float


def alarm(seed: int, success_pct: float | None, late_pct: float) -> AlarmCost:
    """Send one alarm."""
    setting = TestbedSettings(modem_live_s=0, modem_power="always")
    rig = SatcomRig(setting, seed)
    rig.satellite.radio.success_pct = success_pct
    rig.satellite.radio.late_failure_pct = late_pct
    fading = random.Random(f"{seed}/fading")
    level = [2, 0]

    def bars_now(now: int) -> int:
        # Fading: every 8 s a new random signal; 80 % of random sessions succeed.
        if now >= level[1]:
            level[0] = fading.choices((0, 1, 2, 3, 4, 5), (8, 8, 14, 20, 25, 25))[0]
            level[1] = now + 8 * SECOND
        return level[0]

    if success_pct is None:
        rig.satellite.device.radio = Radio(rig.world.random("radio"), bars_now)
    rig.run(_ALARM_AT + fading.randrange(10 * SECOND))
    device: Any = rig.satellite.device
    started_at, before, aired = rig.world.now, device.sessions, device.transmissions
    rig.alarms.update(PUMP_TRIP, "pump1", True, started_at, "drive has tripped: pump1")
    while not rig.satellite.gateway.messages and rig.world.now < started_at + 600 * SECOND:
        rig.run(rig.world.now + SECOND)
    messages = rig.satellite.gateway.messages
    if not messages:
        return AlarmCost(99, 99, 0, 600.0)
    seconds = (messages[0].at_us - started_at) / SECOND
    return AlarmCost(device.sessions - before, device.transmissions - aired, len(messages), seconds)


def expected(seeds: int, every_try: bool) -> str:
    """Return the expected number of seeds with a success within two attempts, or sessions."""
    item = _TRY if every_try else _TRY / (1 - _NO_SESSION)
    two = 1 - (1 - item) ** _WITHIN
    return f"{seeds * two:.0f} +- {(seeds * two * (1 - two)) ** 0.5:.0f}"


def alarm_rows(seeds: int, first: int = 1) -> tuple[Rows, dict[str, Any]]:
    """Measure all kinds of failure."""
    rows: Rows = []
    record: dict[str, Any] = {}
    for name, pct, late in (
        ("independent, 80 %", 80.0, 0.0),
        ("the same, 1 in 4 after acceptance", 80.0, 25.0),
        ("with the signal", None, 0.0),
    ):
        result = [alarm(seed, pct, late) for seed in range(first, first + seeds)]
        within = sum(sent.sessions <= _WITHIN for sent in result)
        tries = sum(sent.tries <= _WITHIN for sent in result)
        datagrams = max(sent.datagrams for sent in result)
        seconds = sorted(sent.seconds for sent in result)
        p50, p99 = seconds[seeds // 2], seconds[seeds * 99 // 100]
        how = f"{tries} within 2 AT+SBDIX; p50 {p50:.0f} s, p99 {p99:.0f} s; {datagrams} datagram"
        label = f"alarm by SBD, failures {name}"
        verdict = "met" if within >= _REQUIRED * seeds else "NOT MET"
        rows.append([label, f"{within} of {seeds} within 2 sessions: {verdict}", how])
        record[name] = {"within": within, "tries": tries, "of": seeds, "datagrams": datagrams}
    rows.append(
        [
            f"required: {_REQUIRED * seeds:.0f}; expected with independent failures",
            f"{expected(seeds, False)} within 2 sessions",
            f"{expected(seeds, True)} within 2 AT+SBDIX",
        ]
    )
    return rows, record


def budget(day_bytes: int, hours: int, seed: int) -> tuple[int, int]:
    """Offer more than the budget for `hours`, with restarts; return (worst day, restarts)."""
    setting = TestbedSettings(
        modem_day_bytes=day_bytes, modem_live_s=300, modem_power="always", modem_acks=True
    )
    rig = SatcomRig(setting, seed)

    def offer() -> None:
        rig.satcom.queue.put(BULK, bytes(330), rig.world.now)
        rig.world.schedule(rig.world.now + 5 * SECOND, offer)

    offer()
    rng = random.Random(f"{seed}/restarts")
    restarts, until = 0, hours * 3600 * SECOND
    while rig.world.now < until:
        rig.run(min(until, rig.world.now + rng.randrange(7200 * SECOND)))
        rig.boot()
        restarts += 1
    return rig.satellite.gateway.max_day_bytes(), restarts


def budget_rows(hours: int) -> tuple[Rows, dict[str, Any]]:
    """Measure three budgets."""
    rows: Rows = []
    record: dict[str, Any] = {}
    for limit in (5_000, 50_000, 1_000_000):
        worst, restarts = budget(limit, hours, 1)
        rows.append(
            [f"budget {limit} B/day, {hours} h", f"{worst} B", f"worst day; {restarts} restarts"]
        )
        record[str(limit)] = {"worst_day": worst, "restarts": restarts}
    return rows, record


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.satcom.figures",
        description="Figures of the satellite link.",
        epilog="example: python -m benchmarks.satcom.figures alarm budgets --seeds 1000",
    )
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help="alarm budgets tls day linkup")
    parser.add_argument("--seeds", type=int, default=1000, metavar="N")
    parser.add_argument("--first", type=int, default=1, metavar="SEED", help="the first seed")
    parser.add_argument("--hours", type=int, default=60, metavar="N")
    parser.add_argument("--json", action="store_true", help="print one JSON record")
    arguments = parser.parse_args()
    figures = {
        "alarm": lambda: alarm_rows(arguments.seeds, arguments.first),
        "budgets": lambda: budget_rows(arguments.hours),
        "tls": tls_rows,
        "day": day_rows,
        "linkup": linkup_rows,
    }
    chosen = arguments.figures or list(figures)
    unknown = [name for name in chosen if name not in figures]
    if unknown:
        parser.error(f"no figure {unknown[0]!r}; use {', '.join(figures)}")
    record: dict[str, Any] = {"machine": describe_machine()}
    rows: Rows = []
    for name in chosen:
        more, record[name] = figures[name]()
        rows += more
    show(record, arguments.json, ["figure", "value", "how"], rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
