"""What stops the unit on purpose, and what brings it back: a state machine as two tables.

An optional part (section `safety`), but bound to nothing that is optional: it looks at readings of
the local bus and speaks to the two loops. MQTT, receiver, meter, flash and optimiser may be away.

    reaction     state      valve   pumps     until
    stop         stopped    shut    stop      somebody resets it
    cool         safe       open    run full  the heat is gone
    shut_valve   safe       shut    -         somebody resets it
    report       degraded   -       -         the input is calm again

`CAUSES` is their rank: a leak outranks heat, heat outranks condensation (which is the set-point's
affair, see `agent.control.law.dew_point`, and never stops anything). For each actuator the first cause that
is active and has an opinion decides. A cause is active once its input was on for its delay, without
a pause; `stop` and `shut_valve` stay latched, with the evidence of that moment, until `reset` finds
the input calm. Time to reach the safe state: the input's delay, at most one cycle until the bit is
read, at most half a cycle until the loops step, then the write, which goes before all polling.

The watchdog is fed once a cycle, by the one who has run the whole of it: readings taken, causes
weighed, loops stepped, ticks on time. A cycle that does not come so far feeds nothing.
"""

from agent.core.component import Part
from agent.core.config_records import thousandths
from agent.core.errors import OrderError
from agent.core.json_writer import Object
from agent.safety.supervisor import DEGRADED, SAFE, STOPPED
from protocols.rounding import nearest_whole
from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.agent import Agent
    from agent.core.component import Actions

CAUSES = (
    ("emergency_stop", "stop", "emergency stop:"),
    ("leak_critical", "stop", "leak:"),
    ("dry_run", "stop", "pumps turn and make no pressure"),
    ("contact", "report", "contact:"),
    ("overheat", "cool", "supply is far too hot: everything open, everything runs"),
    ("leak_warning", "report", "leak warning:"),
)
"""Cause, its reaction if the configuration says no other, what a person reads; in their rank."""

REACTIONS = (
    ("stop", STOPPED, 0.0, 0.0, True),
    ("shut_valve", SAFE, 0.0, None, True),
    ("cool", SAFE, 100.0, 100.0, False),
    ("report", DEGRADED, None, None, False),
)
"""Reaction, state of the unit, valve and pumps in percent (None: the loop goes on), latched."""

_TURNING_PCT = 5.0
_EVIDENCE = 120


class Cause:
    """One thing that may be wrong: input, reaction, and what became of it."""

    def __init__(self, rank: int, name: str, reaction: str, delay_s: float) -> None:
        code, default, text = CAUSES[rank]
        self.rank = rank
        self.code = code + ":" + name if name else code
        self.text = text + " " + name if name else text
        self.delay_us = thousandths(delay_s) * MILLISECOND
        self.reaction = next(r for r in REACTIONS if r[0] == (reaction or default))
        self.on: bool | None = None
        self.since: int | None = None
        self.active = False
        self.acknowledged = False
        self.at = 0
        self.evidence = ""

    def judge(self, on: bool, now: int) -> bool:
        """Take what the input says in this cycle; say whether the cause became active by it."""
        self.on = on
        if not on:
            self.since = None
            if not self.reaction[4]:
                self.active = False
            return False
        if self.since is None:
            self.since = now
        if self.active or now - self.since < self.delay_us:
            return False
        self.active, self.acknowledged, self.at = True, False, now
        return True


class Interlock(Part):
    """The part `safety`."""

    def __init__(self, agent: "Agent", settings: "dict[str, Any]", port: int) -> None:
        super().__init__(agent, settings, port)
        self.inputs: list[tuple[Cause, Any, str, bool]] = []
        ranks = [code for code, _, _ in CAUSES]
        for one in settings["inputs"]:
            cause = Cause(
                ranks.index(one["kind"]), one["name"], one.get("reaction", ""), one["delay_s"]
            )
            station = agent.fieldbus.station(one["device"])
            self.inputs.append((cause, station, one["bit"], one["when_lost"] == "act"))
        self._heat = Cause(ranks.index("overheat"), "", "", settings["overheat_s"])
        self._dry = Cause(ranks.index("dry_run"), "", "", settings["dry_run_s"])
        found = [cause for cause, _, _, _ in self.inputs] + [self._heat, self._dry]
        self.all: list[Cause] = []
        for rank in range(len(CAUSES)):
            self.all.extend([cause for cause in found if cause.rank == rank])
        self._silent: list[str] = []
        self._fed = 0
        self._checked = False
        self._open = False
        self._out: Actions = []
        agent.supervisor.sources.append(self)

    # The cycle.

    def prepare(self, now: int, dt: float) -> None:
        """Look at every input and lay hold of the actuators; before the loops step."""
        self._look(now)
        valve, pumps = self.demand()
        if valve is not None:
            self.agent.supply.forced = valve
        if pumps is not None:
            self.agent.pressure.forced = pumps
        self._checked = True

    def demand(self) -> "tuple[float | None, float | None]":
        """What valve and pumps must do now, percent; None where the loop may go on."""
        valve: float | None = None
        pumps: float | None = None
        for cause in self.all:
            if cause.active:
                _, _, opening, speed, _ = cause.reaction
                valve = opening if valve is None else valve
                pumps = speed if pumps is None else pumps
        return valve, pumps

    def _look(self, now: int) -> None:
        silent = []
        for cause, station, bit, act in self.inputs:
            lost = station.lost
            if lost:
                silent.append(cause.code)
            if not lost or act:
                self._judge(cause, lost or station.device.bit(bit), now)
        self._silent = silent
        agent, settings = self.agent, self.settings
        supply = agent.supply.sensor.value(now)
        if supply is not None:
            self._judge(self._heat, supply >= settings["overheat_c"], now)
        kpa = agent.pressure.sensor.value(now)
        if settings["dry_run_s"] > 0 and kpa is not None:
            dry = kpa < settings["dry_run_kpa"] and self._turning()
            self._judge(self._dry, dry, now)

    def _judge(self, cause: Cause, on: bool, now: int) -> None:
        if cause.judge(on, now):
            cause.evidence = self._scene(now)[:_EVIDENCE]

    def _turning(self) -> bool:
        for pump in self.agent.pressure.pumps:
            speed = pump.speed()
            if speed is not None and speed > _TURNING_PCT:
                return True
        return False

    def _scene(self, now: int) -> str:
        """What the unit looked like: the evidence of a cause."""
        agent = self.agent
        speeds = [pump.speed() for pump in agent.pressure.pumps]
        return "supply %s C, dp %s kPa, valve %s %%, pumps %s %%" % (
            _tenth(agent.supply.sensor.value(now)),
            _tenth(agent.pressure.sensor.value(now)),
            _tenth(agent.supply.valve.position()),
            " ".join([_tenth(speed) for speed in speeds]),
        )

    def causes(self, now: int) -> "list[tuple[str, int, str]]":
        """Name what is wrong, for the supervisor."""
        found = [
            (cause.code, cause.reaction[1], cause.text + "; " + cause.evidence)
            for cause in self.all
            if cause.active
        ]
        return found + [
            ("input_lost:" + code, DEGRADED, "cannot be read: input " + code)
            for code in self._silent
        ]

    # The watchdog.

    def event(self, kind: str, now: int) -> None:
        """The watchdog's port opened, or cannot be used."""
        self._open = kind == "opened" or (self._open and kind == "drained")

    def tick(self, now: int) -> None:
        """Feed the watchdog, if a whole cycle was run since."""
        if self._checked and self._open:
            self._out.append((self.port, "write", b"1"))
            self._fed = now
        self._checked = False

    def outbox(self) -> "Actions":
        """Hand over what the watchdog is fed."""
        out, self._out = self._out, []
        return out

    # People.

    def order(self, name: str, arguments: "Any", now: int) -> "str | None":
        """Do `acknowledge` and `reset`, of one `code` or of all."""
        if name == "acknowledge":
            return self.acknowledge(arguments.get("code"))
        if name == "reset":
            return self.reset(arguments.get("code"))
        return None

    def acknowledge(self, code: "str | None" = None) -> str:
        """Note that somebody has seen what is latched. Raises `OrderError` for unknown codes."""
        found = [cause for cause in self._meant(code) if cause.active]
        for cause in found:
            cause.acknowledged = True
        return "acknowledged: " + (" ".join([cause.code for cause in found]) or "nothing")

    def reset(self, code: "str | None" = None) -> str:
        """Let go of what is latched and calm. Raises `OrderError` while an input is on."""
        found = [cause for cause in self._meant(code) if cause.active and cause.reaction[4]]
        for cause in found:
            if cause.on:
                raise OrderError("%s is still on" % cause.code)
        for cause in found:
            cause.active = False
        return "reset: " + (" ".join([cause.code for cause in found]) or "nothing")

    def _meant(self, code: "str | None") -> "list[Cause]":
        meant = [cause for cause in self.all if code is None or cause.code == code]
        if not meant:
            raise OrderError("no cause is named %s" % code)
        return meant

    def status(self, now: int) -> "object":
        """Show every active cause with its evidence, and when the watchdog was fed."""
        valve, pumps = self.demand()
        return Object(
            [
                ("valve_forced", valve is not None),
                ("pumps_forced", pumps is not None),
                ("fed_us", self._fed if self._fed else None),
                (
                    "causes",
                    [
                        Object(
                            [
                                ("code", cause.code),
                                ("reaction", cause.reaction[0]),
                                ("latched", cause.reaction[4]),
                                ("on", bool(cause.on)),
                                ("acknowledged", cause.acknowledged),
                                ("at_us", cause.at),
                                ("evidence", cause.evidence),
                            ]
                        )
                        for cause in self.all
                        if cause.active
                    ],
                ),
            ]
        )


def _tenth(value: "float | None") -> str:
    """A value with one decimal, through an integer, so that both interpreters write the same."""
    if value is None:
        return "?"
    tenths = nearest_whole(value * 10)
    sign = "-" if tenths < 0 else ""
    tenths = tenths if tenths >= 0 else -tenths
    return "%s%d.%d" % (sign, tenths // 10, tenths % 10)
