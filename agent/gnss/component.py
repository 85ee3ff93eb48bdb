"""The part `integrity`: it looks at every epoch of the receiver, and says what is wrong with it.

Not the clock's own checks (step, rate, pulse, floor, position): those are in every agent. Here an
epoch is decoded whole, with its satellites, which costs a board 12 KiB. Each check is a vote; two
raised votes and the clock believes no fix until at most one is left. Every vote and notice is an
alarm of its own and keeps its evidence with the clock's.

An epoch during a transmission is tagged and votes on no strength (`agent.gnss.tx_coexistence`); one whose
list of satellites is incomplete neither.
"""

from agent.core.component import Part
from agent.core.json_writer import Object
from agent.fieldbus.sensor import Sensor, centi_of
from agent.gnss.constellation_check import Systems
from agent.gnss.detectors import NOTICES, VOTES, Votes
from agent.gnss.signal_check import Signals, strongest
from agent.gnss.tx_coexistence import Coexistence
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.agent import Agent
    from drivers.gnss.epoch import Epoch

_SILENT = 10 * SECOND
_LOOK = 700 * MILLISECOND
"""Least time between two looks at the satellites: of ten epochs a second a board cannot decode
all, and strengths and systems do not change so fast."""
_START = 120 * SECOND
"""How long after a start a fix and a bound may take."""
_LEAP = 900 * SECOND
_NOTICE_DOWN = 5


class Watch(Part):
    """See the module."""

    def __init__(self, agent: "Agent", settings: "dict[str, Any]", port: int) -> None:
        Part.__init__(self, agent, settings, port)
        verdicts = agent.clock.verdicts
        self.votes = Votes(verdicts)
        self.notices = Votes(verdicts, down=_NOTICE_DOWN)
        self.signals = Signals(self.votes)
        self.systems = Systems(self.votes)
        self.coexistence = Coexistence(settings["tx_wait_s"] * SECOND)
        self.epochs = 0
        self._antenna: str | None = None
        self._bound_us: int = settings["bound_ms"] * MILLISECOND
        self._desense_cdb: int = settings["desense_db"] * 100
        self._sensor: Sensor | None = None
        self._last = self._last_fix = self._started = 0
        self._due = 0
        self._looked = -_LOOK
        self._shown: list[str] = []
        # loaded now: once the agent runs, a small board's heap has no room left to compile it
        self._decoder = None if agent.receiver is None else agent.receiver.decoder

    def start(self, now: int) -> None:
        """Begin; find the sensor."""
        self._last = self._last_fix = self._started = now
        source = self.settings.get("temperature")
        if source is not None:
            device, _, point = source.partition(".")
            station = self.agent.fieldbus.station(device)
            self._sensor = Sensor(station, point, self.agent.config.stale_us)

    def tick(self, now: int) -> None:
        """Look at the epochs that closed, and once a second at what is missing."""
        receiver = self.agent.receiver
        if receiver is not None:
            for epoch in receiver.epochs(now):
                self._look(epoch, now)
        if now >= self._due:
            self._due = now + SECOND
            self._miss(now)
            self._tell(now)

    def _look(self, epoch: "Epoch", now: int) -> None:
        self.epochs += 1
        self._last = now
        if epoch.valid:
            self._last_fix = now
        vote = self.votes.vote
        self._antenna = epoch.antenna
        vote("antenna_open", epoch.antenna == "open", now, 1, 0)
        vote("antenna_short", epoch.antenna == "short", now, 1, 0)
        vote("jamming", epoch.jamming in ("warning", "critical"), now, 1, 0)
        permille = epoch.burst.permille or 0
        self.notices.vote("line_saturated", epoch.burst.saturated, now, permille, 900)
        self._look_up(epoch, now)
        self.agent.clock.suspect = len(self.votes.raised) if self.votes.suspect() else 0
        self._tell(now)

    def _look_up(self, epoch: "Epoch", now: int) -> None:
        """Let the strengths vote, or measure what a transmission does to them."""
        if now - self._looked < _LOOK:
            return
        sky = epoch.sky
        if not sky.has_view or not sky.complete:
            return
        self._looked = now
        cn0 = [signal[2] for satellite in sky.satellites for signal in satellite.signals]
        if self.coexistence.is_tagged(epoch.mono_us):
            self.coexistence.measure(strongest(cn0), self.signals.usual())
            harm = self.coexistence.harm()
            self.notices.vote("desense", harm >= self._desense_cdb, now, harm, self._desense_cdb)
            return
        self.signals.temperature(self._heat(now))
        self.signals.epoch(cn0, now)
        self.systems.epoch(sky.satellites, now)

    def _heat(self, now: int) -> "int | None":
        return centi_of(self._sensor, now)

    def _miss(self, now: int) -> None:
        """What did not come: sentences, a fix, a bound that is small enough."""
        clock, vote = self.agent.clock, self.notices.vote
        quiet, blind = now - self._last, now - self._last_fix
        vote("silent", quiet > _SILENT, now, quiet // SECOND, _SILENT // SECOND)
        begun = now - self._started > _START
        lost = begun and quiet <= _SILENT and blind > _SILENT
        vote("no_fix", lost, now, blind // SECOND, _SILENT // SECOND)
        # After a cold start the leap seconds take 13 minutes: no alarm for those.
        patient = clock.leap.uncertain and now - self._started < _LEAP
        bound = clock.bare_bound_us(now) if patient else clock.bound_us(now)
        if begun:
            known = -1 if bound is None else bound
            vote("bound", not 0 <= known <= self._bound_us, now, known, self._bound_us)
        self.coexistence.need(clock.state(now) != "sync" or clock.leap.uncertain, now)

    def _tell(self, now: int) -> None:
        """Raise and clear the alarms."""
        raised = self.votes.raised + self.notices.raised
        if raised == self._shown:
            return
        self._shown = raised
        for table in (VOTES, NOTICES):
            for name, code, _, text in table:
                self.agent.alarms.set(code, name in raised, text, now)

    def status(self, now: int) -> Object:
        """Show the votes, the antenna, heat and transmissions."""
        usual = self.signals.usual()
        return Object(
            [
                ("epochs", self.epochs),
                ("votes", self.votes.raised),
                ("notices", self.notices.raised),
                ("antenna", self._antenna),
                ("cn0_centi", None if usual is None else usual * 100 // 256),
                ("derating_milli_db_per_c", self.signals.derating()),
                ("tagged", self.coexistence.tagged),
                ("desense_centi_db", self.coexistence.harm()),
            ]
        )
