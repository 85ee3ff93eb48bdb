# SPDX-License-Identifier: Apache-2.0
"""Component `retain`: what the unit must still know after a restart or a power cut.

Does not interpret the state: each component gives its lines (`Component.retain`) and takes them
back (`Component.restore`). Caps of loads are kept by `throttle`, changes of operators by `remote`.
The record `retain.state` is replaced as a whole when a line has changed, at the latest one second
after it. A line is "SECTION line". The component restores the lines before the loops step for the
first time, because they wait for the first readings. Until the record was read, nothing is written.

It also keeps set-points that a component has requested, and the alarm history
(`agent.retain.alarm_history`).
"""

from agent.core.actuator import PRESSURE, SUPPLY, SetpointRequest
from agent.core.component.base import Component
from agent.core.config_records import to_thousandths
from agent.core.json_writer import JsonObject
from agent.core.stored_record import StoredRecord
from agent.retain.alarm_history import AlarmHistory
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from agent.core.component.base import Actions
    from agent.core.context import Context
    from agent.core.fault.guard import Guard

    class RetainContext(Context, Protocol):
        """The agent with its components and its guard."""

        components: "list[Component]"
        guard: "Guard"


KEY = "retain.state"
_MAX_BYTES = 4096
_RANGES = {SUPPLY: (15_000, 45_000), PRESSURE: (4_000, 480_000)}
"""Set-points that can be requested, in thousandths: those of `agent.core.tunable`, and 20 % beyond
for the pressure of a group without its lead."""
_HISTORY = b"history "
_WAIT_US = 10 * SECOND
"""Time to wait for the record. Then the unit runs without it, and the next state replaces it."""


class Retain(Component):
    """The component. `restored`: number of lines that a component has taken back. `is_known`: the
    state of before the start was read, or there is no store.
    """

    PORTS = ("store",)
    PROVIDES = ("retained_state",)
    agent: "RetainContext"

    def __init__(self, agent: "Context", settings: "dict[str, Any]", port: int) -> None:
        Component.__init__(self, agent, settings, port)
        self.history = AlarmHistory(port)
        self.restored = 0
        self.retained_state = self
        self.is_known = port < 0
        self._ignores_record = False
        self._record = StoredRecord(port, KEY)
        self._stored = b""
        self._due = self._started = 0
        self._out: Actions = []

    def start(self, now: int) -> None:
        """Record the changes of alarms from now on."""
        self._started = now
        self.agent.alarms.add_listener(self._on_alarm)

    def _on_alarm(self, now: int, change: str, code: str, text: str) -> None:
        utc = self.agent.clock.utc(now)
        self.history.add(0 if utc is None else utc // SECOND, change, code, text, now)
        self._due = now

    # The store.

    def event(self, kind: str, now: int) -> None:
        """Handle an event of the store."""
        self._record.event(kind)
        if kind == "failed":
            self._stored = b""

    def receive(self, data: bytes, now: int) -> None:
        """Handle the stored state."""
        payload = self._record.receive(data)
        self.is_known = self.is_known or self._record.is_settled
        if payload is not None and not self._ignores_record:
            self._restore_all(payload, now)

    def take_over(self, state: bytes, now: int) -> None:
        """Restore the `state` of another controller of the unit. The own record does not count if
        that one knows what was before its start: then its state begins with the history.
        """
        self.is_known = self._ignores_record = state[: len(_HISTORY)] == _HISTORY
        self._restore_all(state, now)

    def _restore_all(self, state: bytes, now: int) -> None:
        for line in state[:_MAX_BYTES].split(b"\n"):
            try:
                section, _, text = line.decode().partition(" ")
            except UnicodeError:
                continue
            if not _has_other_digits(text):
                self._restore(section, text, now)

    def _restore(self, section: str, text: str, now: int) -> None:
        """Give a line to its component. An unknown line is dropped."""
        words = text.split(" ")
        if section == "history" and words[0].isdigit() and len(text) < 16:
            self.history.continue_at(int(words[0]))
        elif section in (SUPPLY, PRESSURE) and len(words) == 2:
            self._restore_setpoint(section, words)
        for i, (name, _, _) in enumerate(self.agent.config.components):
            if name == section:
                component = self.agent.components[i]
                try:
                    self.restored += bool(component.restore(text, now))
                except Exception as error:  # noqa: BLE001 - the guard handles it
                    self.agent.guard.handle(component, error, now)

    def _restore_setpoint(self, key: str, words: "list[str]") -> None:
        """Use the requested set-point again, if the configured one is still the same."""
        config = self.agent.config.supply if key == SUPPLY else self.agent.config.pressure
        if words[0] != str(to_thousandths(config.setpoint)):
            return
        low, high = _RANGES[key]
        if words[1].isdigit() and low <= int(words[1]) <= high:
            self.agent.request_setpoint(SetpointRequest("retain", key, int(words[1]) / 1000))
            self.restored += 1

    def state(self, now: int) -> bytes:
        """Return the state that must survive a restart."""
        return "\n".join(self._lines(now)).encode()

    def replica(self, now: int) -> bytes:
        """Return the state for the other controller of a pair; see `take_over`. If it is not known,
        it has no history: it must not end latches and modes that the other one knows.
        """
        first = 0 if self.is_known else 1
        return "\n".join(self._lines(now)[first:]).encode()

    def _lines(self, now: int) -> "list[str]":
        agent = self.agent
        lines = ["history %d" % self.history.next_number]
        for key, loop in ((SUPPLY, agent.supply_loop), (PRESSURE, agent.pressure_loop)):
            config = loop.config
            base, active = to_thousandths(config.configured), to_thousandths(config.setpoint)
            if active != base:
                lines.append("%s %d %d" % (key, base, active))
        for i, (section, _, _) in enumerate(agent.config.components):
            component = agent.components[i]
            try:
                lines += ["%s %s" % (section, line) for line in component.retain(now)]
            except Exception as error:  # noqa: BLE001 - the guard handles it
                agent.guard.handle(component, error, now)
        return lines

    def tick(self, now: int) -> None:
        """Write the state if it has changed."""
        if now < self._due:
            return
        self._due = now + SECOND
        record = self._record
        if not record.is_settled and now - self._started >= _WAIT_US:
            record.stop_waiting()
        if not record.is_open or not record.is_settled:
            return
        self._out = self.history.outbox()
        text = self.state(now)
        if text != self._stored and len(text) <= _MAX_BYTES:
            self._stored = text
            record.write(text)

    def outbox(self) -> "Actions":
        """Return the requests for the store."""
        out = self._record.outbox()
        if self._out:
            out = self._out + out
            self._out = []
        return out

    def status(self, now: int) -> "object":
        """Return the number of restored lines and of history lines."""
        return JsonObject(
            [
                ("restored", self.restored),
                ("history", self.history.next_number),
                ("dropped", self.history.dropped),
            ]
        )


def _has_other_digits(text: str) -> bool:
    """Return whether `text` has digits that only `str.isdigit` knows, such as a superscript.

    `int` does not read them. MicroPython knows no others than 0 to 9.
    """
    return bool([c for c in text if c.isdigit() and not c.encode().isdigit()])
