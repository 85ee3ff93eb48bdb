# SPDX-License-Identifier: Apache-2.0
"""`coldloop link watch`: the state of a satellite modem, from the modem or from the running agent.

With a port, the command talks to the modem; the agent must not use the port at the same time. It
sends no message and opens no session, so it causes no cost. With --config it shows the status of
the running agent once per second: signal, next windows, queue, budget.
"""

import argparse
import json
import time
from typing import Any

from agent.core.errors import AgentError
from agent.port_numbers import CONSOLE
from agent.runtime import cpython
from agent.tools.satcom.agent_status import DAMAGE, read_section, status_path
from drivers.errors import DriverError
from drivers.modems import KINDS, make_driver
from drivers.ports.address import parse_address
from protocols.time_units import NEVER, SECOND

EXAMPLE = "coldloop link watch serial:/dev/ttyUSB2?baud=19200 --kind sbd --seconds 60"
_PORT = 0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "port", nargs="?", help="port of the modem, such as serial:/dev/ttyUSB2?baud=19200"
    )
    parser.add_argument(
        "--config", metavar="FILE", help="show the modem status of the running agent instead"
    )
    parser.add_argument("--kind", choices=sorted(KINDS), default="sbd", help="kind of modem (sbd)")
    parser.add_argument("--seconds", type=int, metavar="N", help="end after N seconds")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each change")


def run(arguments: argparse.Namespace) -> int:
    """Watch until SIGINT or `--seconds`; return 1 without an answer of the modem."""
    if (arguments.port is None) == (arguments.config is None):
        raise AgentError("arguments: use either a port or --config FILE")
    if arguments.config is not None:
        return _show_agent(arguments)
    try:
        parse_address(arguments.port)
    except DriverError as error:
        raise AgentError(str(error)) from None
    watcher = ModemWatcher(arguments.kind, arguments.port, _make_printer(arguments.json))
    end_us = NEVER
    if arguments.seconds is not None:
        end_us = cpython.monotonic() + arguments.seconds * SECOND
    code = cpython.run(watcher, lambda: cpython.monotonic() >= end_us, console=CONSOLE)
    return 130 if code else int(not watcher.modem_state["ready"])


class ModemWatcher:
    """A stand-in for the agent with one port: the modem driver, and a line for each change."""

    def __init__(self, kind: str, address: str, print_state: "Any") -> None:
        self.modem_state: dict[str, Any] = {"ready": False, "bars": None, "service": None}
        self.modem_state.update({"waiting": 0, "network_time_us": None, "resets": 0})
        self._modem = make_driver(kind, _PORT, {})
        self._address = address
        self._print_state = print_state
        self._printed_state: dict[str, Any] = {}
        self._out = [(_PORT, "open", address.encode())]
        self._retry_at = NEVER

    def receive(self, port: int, data: bytes, now: int) -> None:
        """Handle bytes from the modem."""
        self._modem.receive(data, now)
        self._update()

    def event(self, port: int, kind: str, now: int) -> None:
        """Handle an event of the port; open a lost port again after 1 s."""
        self._modem.event(kind, now)
        self._retry_at = NEVER if kind in ("opened", "drained") else now + SECOND
        self._update()

    def wake(self, now: int) -> None:
        """Handle the deadline."""
        if now >= self._retry_at:
            self._retry_at = NEVER
            self._out.append((_PORT, "open", self._address.encode()))
        self._modem.set_utc(time.time_ns() // 1000)
        self._modem.wake(now)
        self._update()

    def deadline(self) -> int:
        """Return when to call `wake`."""
        return min(self._modem.deadline(), self._retry_at)

    def outbox(self) -> "list[tuple[int, str, bytes]]":
        """Remove and return the actions for the port."""
        out, self._out = self._out, []
        return out + self._modem.outbox()

    def _update(self) -> None:
        for event in self._modem.take_events():
            key = {"signal": "bars", "time": "network_time_us"}.get(event[0], event[0])
            if key in self.modem_state:
                self.modem_state[key] = event[1]
            elif key == "ring_alert":
                self.modem_state["waiting"] = max(1, self.modem_state["waiting"])
        self.modem_state["resets"] = self._modem.resets
        if self.modem_state != self._printed_state:
            self._printed_state = dict(self.modem_state)
            self._print_state(self._printed_state)


def _make_printer(as_json: bool) -> "Any":
    def print_state(state: dict[str, Any]) -> None:
        if as_json:
            print(json.dumps(state), flush=True)
            return
        bars = "?" if state["bars"] is None else "#" * state["bars"] + "." * (5 - state["bars"])
        service = {None: "service unknown", True: "service", False: "no service"}[state["service"]]
        ready = "modem answers" if state["ready"] else "no answer"
        print(f"{ready:15}  [{bars:5}]  {service:15}  {state['waiting']} waiting", flush=True)

    return print_state


def _show_agent(arguments: argparse.Namespace) -> int:
    """Show the section `modem` of the status of the running agent, each second."""
    path = status_path(arguments.config)
    end_s = None if arguments.seconds is None else time.monotonic() + arguments.seconds
    while True:
        status = read_section(path, arguments.config, "modem")
        try:
            print(json.dumps(status) if arguments.json else format_status(status), flush=True)
            code = 0 if status["ready"] else 1
        except DAMAGE as error:
            raise AgentError(f"{path}: the status is damaged: {error}") from None
        if end_s is not None and time.monotonic() + 1 > end_s:
            return code
        time.sleep(1)


def format_status(status: dict[str, Any]) -> str:
    """Return the modem status of the agent as text."""
    bars = status["bars"]
    signal_text = "?" if bars is None else "#" * bars + "." * (5 - bars)
    queued = dict(zip(("alarm", "live", "event", "bulk"), status["queued"], strict=True))
    queue_text = (
        ", ".join(f"{count} {name}" for name, count in queued.items() if count) or "nothing"
    )
    ready = "ready" if status["ready"] else "silent"
    service = "service" if status["service"] else "no service"
    reason_text = f" ({status['why']})" if status["why"] else ""
    sessions_text = f"sessions {status['tried']} tried, {status['sent']} sent, "
    sessions_text += f"{status['failed']} failed{reason_text}"
    lines = [
        f"modem    {status['kind']}  {ready}  [{signal_text}]  {service}",
        f"queue    {queue_text} waiting, {status['unacknowledged']} unacknowledged",
        sessions_text,
        f"budget   {status['spent_bytes']} of {status['day_bytes']} bytes today",
        "windows  " + _windows_text(status),
    ]
    if status["forbidden"]:
        lines.insert(1, f"silent   {status['forbidden']}")
    return "\n".join(lines) + "\n"


def _windows_text(status: dict[str, Any]) -> str:
    if not status["ahead"]:
        return "none predicted"
    now = time.time()
    texts = []
    for start_s, end_s, peak in status["ahead"][:3]:
        when = "now" if start_s <= now < end_s else f"in {max(0, int(start_s - now)) // 60} min"
        texts.append(f"{when} for {end_s - start_s} s, up to {peak} deg")
    return "; ".join(texts)
