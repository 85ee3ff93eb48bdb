# SPDX-License-Identifier: Apache-2.0
"""Component `ntp`: compares UTC with NTP servers of the site, as an independent source.

Does not discipline the clock; see `agent.clock.cross_check` for the effect. It sends one request to
each server each `every_s`. `port` is the first server, `ports` names up to four others.

With one server each usable reply is compared. With several servers only the interval that
`agent.clock.estimate.selection` finds is compared, once after each round of requests. A reply
counts for `_SAMPLE_AGE` rounds. If too few servers answer or agree, nothing is compared.

The alarm `time_server` names a server that is outside that interval, or has not answered, for
`_ALARM_ROUNDS` rounds. NTP has no authentication here: use servers in the network of the site.
"""

from agent.clock.estimate.selection import interval_at, overlap, quorum, select
from agent.clock.ntp.exchange import NtpExchange
from agent.core.alarm_record import NORMAL, AlarmRecord
from agent.core.component.base import Component
from agent.core.json_writer import JsonObject
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.clock.clock_context import ClockContext
    from agent.clock.estimate.selection import Interval
    from agent.core.alarm_record import Condition
    from agent.core.component.base import Actions

TIME_SERVER = AlarmRecord("time_server", NORMAL, "NTP server is not usable:", "port", False)
_SAMPLE_AGE = 3
_ALARM_ROUNDS = 3
_REPLY_US = 2 * SECOND
"""From the requests of a round to its comparison."""


class NtpAssociation:
    """The state for one server (RFC 5905: association).

    `missed`: rounds in a row without a usable reply. `outside`: rounds in a row in which its time
    is outside the selected interval.
    """

    def __init__(self, name: str, port: int, error_us: int) -> None:
        self.name = name
        self.port = port
        self.open = False
        self.exchange = NtpExchange(error_us)
        self.missed = self.outside = 0
        self.is_answered = True

    def event(self, kind: str) -> None:
        """Handle `opened`, `closed`, `failed` or `drained`."""
        self.open = kind == "opened" or (self.open and kind == "drained")

    def begin_round(self) -> None:
        """A round of requests begins: count the last one if it had no usable reply."""
        self.missed = 0 if self.is_answered else self.missed + 1
        self.is_answered = False

    def fault(self) -> str:
        """Return why the server is not usable; empty if it is."""
        if self.missed >= _ALARM_ROUNDS:
            return "no usable reply"
        return "differs from the others" if self.outside >= _ALARM_ROUNDS else ""


class NtpComponent(Component):
    """The component; see the module."""

    PORTS = ("ntp",)
    agent: "ClockContext"

    def __init__(self, agent: "ClockContext", settings: "dict[str, Any]", port: int) -> None:
        Component.__init__(self, agent, settings, port)
        self._every: int = settings["every_s"] * SECOND
        self._error_us: int = settings["error_ms"] * MILLISECOND
        self.servers = [NtpAssociation("ntp", port, self._error_us)]
        self._due = 0
        self._compare_at: int | None = None
        self._difference_us: int | None = None
        self._uncertainty_us: int | None = None
        self._agrees: bool | None = None
        self._out: Actions = []

    def start(self, now: int) -> None:
        """Take the further servers of `ports`."""
        for link in self.links:
            self.servers.append(NtpAssociation(link.name, link.port, self._error_us))

    def event(self, kind: str, now: int) -> None:
        """Handle an event of the port of the first server."""
        self.servers[0].event(kind)

    def link_event(self, index: int, kind: str, now: int) -> None:
        """Handle an event of the port of a further server."""
        self.servers[index + 1].event(kind)

    def tick(self, now: int) -> None:
        """Send the requests if they are due; compare when the time for the replies is over."""
        compare_at = self._compare_at
        if compare_at is not None and now >= compare_at:
            self._compare_at = None
            self._compare(now)
        if now < self._due or not any(server.open for server in self.servers):
            return
        self._due = now + self._every
        if len(self.servers) > 1:
            self._compare_at = now + _REPLY_US
        for server in self.servers:
            server.begin_round()
            if server.open:
                self._out.append((server.port, "write", server.exchange.make_request(now)))

    def outbox(self) -> "Actions":
        """Return the requests for the ports."""
        out, self._out = self._out, []
        return out

    def receive(self, data: bytes, now: int) -> None:
        """Handle a reply of the first server."""
        self._receive(0, data, now)

    def link_receive(self, index: int, data: bytes, now: int) -> None:
        """Handle a reply of a further server."""
        if self._receive(index + 1, data, now):
            self.links[index].confirm_handshake()

    def _receive(self, index: int, data: bytes, now: int) -> bool:
        server = self.servers[index]
        if not server.exchange.receive(data, now):
            return False
        server.is_answered = True
        server.missed = 0
        if len(self.servers) == 1:
            self._compare(now)
        return True

    def _intervals(self, now: int) -> "list[tuple[NtpAssociation, Interval]]":
        """Return the servers with a reply that is young enough, each with its interval."""
        oldest = now - _SAMPLE_AGE * self._every
        drift = self.agent.clock.drift_ppb
        found = []
        for server in self.servers:
            sample = server.exchange.sample
            if sample is not None and sample.mono_us >= oldest:
                found.append((server, interval_at(sample, now, drift)))
        return found

    def _compare(self, now: int) -> None:
        """Compare the clock with the selected interval, if there is one."""
        found = self._intervals(now)
        selected = select([interval for _, interval in found], len(self.servers))
        self._agrees = self._difference_us = self._uncertainty_us = None
        if len(found) >= quorum(len(self.servers)):
            for server, interval in found:
                is_inside = selected is not None and overlap(interval, selected)
                server.outside = 0 if is_inside else server.outside + 1
        if selected is None:
            return
        clock = self.agent.clock
        utc = now + (selected.low + selected.high) // 2
        clock_utc = clock.utc(now)
        self._uncertainty_us = (selected.high - selected.low + 1) // 2
        self._difference_us = None if clock_utc is None else utc - clock_utc
        self._agrees = clock.cross_check(utc, self._uncertainty_us, now)
        clock.limit_drag(utc, self._uncertainty_us, now, self._agrees is True)

    def active_conditions(self, now: int) -> "list[Condition]":
        """Return an alarm for each server that is not usable."""
        faults = [(server.name, server.fault()) for server in self.servers]
        return [
            (TIME_SERVER, name, "%s %s: %s" % (TIME_SERVER.text, name, fault))
            for name, fault in faults
            if fault
        ]

    def status(self, now: int) -> JsonObject:
        """Return the counters, and the last comparison: servers minus clock.

        The counters are sums; `servers` has those of each server if there are several.
        """
        exchanges = [server.exchange for server in self.servers]
        pairs: list[tuple[str, Any]] = [
            ("sent", sum([exchange.sent for exchange in exchanges])),
            ("replies", sum([exchange.replies for exchange in exchanges])),
            ("refused", sum([exchange.refused for exchange in exchanges])),
            ("difference_us", self._difference_us),
            ("uncertainty_us", self._uncertainty_us),
            ("agrees", self._agrees),
        ]
        if len(self.servers) > 1:
            pairs.append(("needed", quorum(len(self.servers))))
            pairs.append(("servers", [_server_status(server) for server in self.servers]))
        return JsonObject(pairs)


def _server_status(server: NtpAssociation) -> JsonObject:
    exchange = server.exchange
    return JsonObject(
        [
            ("name", server.name),
            ("sent", exchange.sent),
            ("replies", exchange.replies),
            ("refused", exchange.refused),
            ("fault", server.fault() or None),
        ]
    )
