# SPDX-License-Identifier: Apache-2.0
"""`coldloop link coexistence`: the effect of transmissions on the GNSS receiver, as a table.

The command runs a schedule: rest, one datagram, rest, and so on. It compares the epochs of the
receiver while the modem transmits with those at rest: C/N0 by band, fixes, time error. The agent
must not use the two ports at the same time. **Each datagram is billed.** Antenna spacing and
temperature are entered, not measured; repeat the command for each spacing, and in an oven for each
temperature. The time error is the deviation of the arrival of an epoch from the median at rest: the
jitter of the receiver is in it. A band, or a receiver, that is silent during transmissions is too
much. The verdict is "ok" only if there was something to lose and it was measured: fixes and signals
at rest, a datagram that was sent, and three epochs while the modem transmitted. After Ctrl-C the
table has what was measured. **No radio rule is checked**: transmit only where you may.
"""

import argparse
import json
import math
from itertools import pairwise
from statistics import mean, median
from typing import Any

from agent.core.errors import AgentError
from agent.port_numbers import CONSOLE
from agent.runtime import cpython
from drivers.errors import DriverError
from drivers.gnss.receiver import ReceiverDriver
from drivers.modems import KINDS, make_driver
from drivers.ports.address import parse_address
from protocols.time_units import NEVER, SECOND

EXAMPLE = (
    "coldloop link coexistence serial:/dev/ttyUSB1?baud=115200 serial:/dev/ttyUSB2?baud=19200 "
    "--kind sbd --sessions 3 --spacing-m 1.5 --temperature-c 23"
)
MODEM, RECEIVER = 0, 1
_KINDS = sorted(kind for kind in KINDS if kind != "ip")
"""Kinds that send datagrams."""
_CONTENT = b"coexistence test"
_LIMIT_DB = 3.0
"""A loss of C/N0 above this is reported as too much."""
_LIMIT_MS = 100
"""A time error that grows by more is too much; the jitter of a serial receiver is 20 ms."""
_LEAST_EPOCHS = 3
"""During transmissions: so many must be expected before their absence is a finding, and so many
must be there for the verdict "ok"."""
_SESSION_S = 400
"""Longest session of any kind, s."""
_SETUP_S = 120
_L5, _L2 = ("5", "B2", "G3"), ("2", "6", "B3")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("receiver", help="port of the receiver")
    parser.add_argument("modem", help="port of the modem")
    parser.add_argument("--kind", choices=_KINDS, default="sbd", help="kind of modem (sbd)")
    parser.add_argument("--sessions", type=int, default=3, metavar="N", help="datagrams (3)")
    parser.add_argument("--rest", type=int, default=60, metavar="S", help="rest of S seconds (60)")
    parser.add_argument("--spacing-m", type=float, metavar="M", help="spacing of the antennas")
    parser.add_argument("--temperature-c", type=float, metavar="C", help="temperature, entered")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Run the schedule and print the table; return 1 if transmissions have too much effect."""
    if not 1 <= arguments.sessions <= 100 or not 10 <= arguments.rest <= 3600:
        raise AgentError("arguments: 1 to 100 sessions, rest of 10 to 3600 s")
    if not all(math.isfinite(value or 0) for value in _entered(arguments).values()):
        raise AgentError("arguments: spacing and temperature are numbers")
    if (arguments.spacing_m or 0) < 0:
        raise AgentError("arguments: a spacing is not below 0")
    try:
        address = parse_address(arguments.receiver)
        parse_address(arguments.modem)
        receiver = ReceiverDriver(RECEIVER, address.baud, max_epochs=8)
    except (DriverError, ValueError) as error:
        raise AgentError(str(error)) from None
    modem = make_driver(arguments.kind, MODEM, {})
    addresses = {MODEM: arguments.modem, RECEIVER: arguments.receiver}
    probe = CoexistenceProbe(modem, receiver, addresses, arguments.sessions, arguments.rest)
    longest_s = _SETUP_S + arguments.sessions * (arguments.rest + _SESSION_S)
    end_us = cpython.monotonic() + longest_s * SECOND
    code = cpython.run(probe, lambda: probe.done or cpython.monotonic() >= end_us, console=CONSOLE)
    report = {**_entered(arguments), **probe.report()}
    if code:
        report["verdict"] = "interrupted"
    print(json.dumps(report) if arguments.json else "\n".join(table(report)))
    return 130 if code else int(report["verdict"] != "ok")


def _entered(arguments: argparse.Namespace) -> "dict[str, float | None]":
    return {"spacing_m": arguments.spacing_m, "temperature_c": arguments.temperature_c}


class CoexistenceProbe:
    """A stand-in for the agent with two ports: runs the schedule and collects epochs."""

    def __init__(
        self,
        modem: "Any",
        receiver: ReceiverDriver,
        addresses: "dict[int, str]",
        sessions: int,
        rest_s: int,
    ) -> None:
        self.done = False
        self.sent = self.failed = 0
        self._modem = modem
        self._receiver = receiver
        self._addresses = addresses
        self._sessions = sessions
        self._rest_us = rest_s * SECOND
        self._send_at = NEVER
        self._transmitting = False
        self._began_at = self._transmitted_us = 0
        self._epochs: dict[bool, list[Any]] = {False: [], True: []}
        self._out = [(port, "open", text.encode()) for port, text in sorted(addresses.items())]
        self._retry: dict[int, int] = {}

    def receive(self, port: int, data: bytes, now: int) -> None:
        """Handle bytes of the modem or of the receiver."""
        if port == MODEM:
            self._modem.receive(data, now)
        else:
            self._receiver.receive(data, now)
            for epoch in self._receiver.take_epochs():
                self._epochs[self._transmitting].append(epoch)
        self._update(now)

    def event(self, port: int, kind: str, now: int) -> None:
        """Handle an event of a port; a lost one is opened again after 1 s."""
        if port == MODEM:
            self._modem.event(kind, now)
        if kind in ("closed", "failed"):
            self._retry[port] = now + SECOND
        self._update(now)

    def wake(self, now: int) -> None:
        """Handle the deadline."""
        for port, at in list(self._retry.items()):
            if now >= at:
                del self._retry[port]
                self._out.append((port, "open", self._addresses[port].encode()))
        self._modem.wake(now)
        if now >= self._send_at:
            started = self._modem.send(_CONTENT, 1, now)
            self._send_at = NEVER if started else now + SECOND
        self._update(now)

    def deadline(self) -> int:
        """Return when to call `wake`."""
        modem_due: int = self._modem.deadline()
        return min([modem_due, self._send_at, *self._retry.values()])

    def outbox(self) -> "list[tuple[int, str, bytes]]":
        """Remove and return the actions for the ports."""
        out, self._out = self._out, []
        out += self._modem.outbox()
        return out

    def _update(self, now: int) -> None:
        for event in self._modem.take_events():
            if event[0] == "transmitting":
                self._transmitting = event[1]
                if event[1]:
                    self._began_at = now
                else:
                    self._transmitted_us += now - self._began_at
            elif event[0] == "ready" and event[1] and self._send_at == NEVER:
                self._send_at = now + self._rest_us
            elif event[0] in ("sent", "send_failed"):
                self.sent += event[0] == "sent"
                self.failed += event[0] != "sent"
                self._send_at = now + self._rest_us
                self.done = self.sent + self.failed >= self._sessions

    def report(self) -> "dict[str, Any]":
        """Return the comparison of all epochs so far."""
        rest, active = self._epochs[False], self._epochs[True]
        bands = {}
        at_rest, transmitting = levels(rest), levels(active)
        for band in sorted(at_rest):
            loss = None
            if band in transmitting:
                loss = round(at_rest[band] - transmitting[band], 1)
            bands[band] = {"rest_dbhz": round(at_rest[band], 1), "loss_db": loss}
        base = offset(rest, None)
        return {
            "verdict": self._verdict(bands),
            "sessions": {"sent": self.sent, "failed": self.failed},
            "epochs": {"rest": len(rest), "transmitting": len(active)},
            "fixes_pct": {"rest": fix_share(rest), "transmitting": fix_share(active)},
            "time_error_ms": {
                "rest": time_error(rest, base),
                "transmitting": time_error(active, base),
            },
            "bands": bands,
        }

    def _verdict(self, bands: "dict[str, dict[str, Any]]") -> str:
        rest, active = self._epochs[False], self._epochs[True]
        verdict = "ok"
        if not self.sent:
            verdict = "no transmission"
        elif not rest:
            verdict = "no epochs at rest"
        elif not fix_share(rest):
            verdict = "no fix at rest"
        elif not bands:
            verdict = "no signals at rest"
        elif self._has_too_much(bands):
            verdict = "too much"
        elif len(active) < _LEAST_EPOCHS:
            verdict = "too few epochs during transmissions"
        return verdict

    def _has_too_much(self, bands: "dict[str, dict[str, Any]]") -> bool:
        """Return whether transmissions cost signals, a band, fixes, epochs or the time."""
        rest, active = self._epochs[False], self._epochs[True]
        base = offset(rest, None)
        if (time_error(active, base) or 0) - (time_error(rest, base) or 0) > _LIMIT_MS:
            return True
        gap_us = interval(rest)
        expected = self._transmitted_us / gap_us if gap_us else 0.0
        if expected >= _LEAST_EPOCHS and 2 * len(active) < expected:
            return True
        if active and fix_share(rest) - fix_share(active) > 5:
            return True
        for band, value in bands.items():
            if value["loss_db"] is None:
                if band_share(rest, band) * len(active) >= _LEAST_EPOCHS:
                    return True
            elif value["loss_db"] > _LIMIT_DB:
                return True
        return False


def interval(epochs: "list[Any]") -> float:
    """Return the median time between two epochs, µs; 0 without two."""
    times = [epoch.mono_us for epoch in epochs]
    return median([late - early for early, late in pairwise(times)]) if len(times) > 1 else 0.0


def band_share(epochs: "list[Any]", band: str) -> float:
    """Return the part of the epochs with a signal of a band, 0 to 1."""
    return sum(band in levels([epoch]) for epoch in epochs) / len(epochs)


def band_of(name: "str | None") -> str:
    """Return the band of a signal by its name: L1, L2 or L5 (also of E1, B1, E5a, B2a …)."""
    text = name or "L1"
    if any(mark in text for mark in _L5):
        return "L5"
    return "L2" if any(mark in text for mark in _L2) else "L1"


def levels(epochs: "list[Any]") -> "dict[str, float]":
    """Return the mean C/N0 of the eight strongest signals of each band, dBHz."""
    by_band: dict[str, list[float]] = {}
    for epoch in epochs:
        values: dict[str, list[int]] = {}
        for satellite in epoch.satellite_view.satellites:
            for _, name, level in satellite.signals:
                values.setdefault(band_of(name), []).append(level)
        for band, signals in values.items():
            by_band.setdefault(band, []).append(mean(sorted(signals)[-8:]))
    return {band: mean(values) for band, values in by_band.items()}


def fix_share(epochs: "list[Any]") -> float:
    """Return the part of the epochs with a fix, %."""
    return round(100 * sum(epoch.valid for epoch in epochs) / len(epochs), 1) if epochs else 0.0


def offset(epochs: "list[Any]", default: "float | None") -> "float | None":
    """Return the median of UTC minus arrival, µs."""
    values = [epoch.utc_us - epoch.mono_us for epoch in epochs if epoch.valid and epoch.utc_us]
    return median(values) if values else default


def time_error(epochs: "list[Any]", base: "float | None") -> "float | None":
    """Return the largest deviation from `base`, ms."""
    errors = [
        abs(epoch.utc_us - epoch.mono_us - base) / 1000
        for epoch in epochs
        if base is not None and epoch.valid and epoch.utc_us
    ]
    return round(max(errors), 1) if errors else None


def table(report: "dict[str, Any]") -> "list[str]":
    """Return the lines of the table, as Markdown."""
    spacing, temperature = report["spacing_m"], report["temperature_c"]
    spacing_text = "not entered" if spacing is None else f"{spacing:g} m"
    temperature_text = "not entered" if temperature is None else f"{temperature:g} °C"
    sessions = report["sessions"]
    lines = [
        f"antenna spacing {spacing_text}, temperature {temperature_text}",
        f"{sessions['sent']} datagrams sent, {sessions['failed']} failed",
        "",
        "| | at rest | transmitting | loss |",
        "|---|---|---|---|",
    ]
    for band, value in report["bands"].items():
        loss = value["loss_db"]
        active = "-" if loss is None else f"{value['rest_dbhz'] - loss:.1f}"
        text = "-" if loss is None else f"{loss:.1f} dB"
        lines.append(f"| C/N0 {band}, dBHz | {value['rest_dbhz']} | {active} | {text} |")
    for title, key in (("epochs", "epochs"), ("fixes, %", "fixes_pct"),
                       ("largest time error, ms", "time_error_ms")):  # fmt: skip
        row = report[key]
        lines.append(f"| {title} | {_text(row['rest'])} | {_text(row['transmitting'])} | |")
    limits = f"limit {_LIMIT_DB:g} dB, 5 % of the fixes, {_LIMIT_MS} ms"
    return [*lines, "", f"verdict: {report['verdict']} ({limits})"]


def _text(value: object) -> str:
    return "-" if value is None else str(value)
