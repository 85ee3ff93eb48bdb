"""The throttle: less power for the loads before they, or the coolant, become too hot.

    readings ─▶ headroom ─┐
    supply ─▶ derating curves ─▶ budget ─▶ shares ─▶ hold ─▶ limits ─▶ Redfish
    schedule, frequency ──┘                            └▶ switching ─▶ Redfish, outlets

Not a loop and not needed by any: it looks at what was read and never asks an actuator of the
cooling. Once a cycle, when the readings are there, it decides anew; a facility flow that stops is
looked at once more at once, so that a limit is on the wire within two seconds.

What limits the loads, the least counts:
    the derating curve of each load's class, at the supply temperature a few seconds ahead
    what the exchanger takes, when the valve is as far open as it may be
    nothing but the least power, when heat is no longer rejected
    a scheduled cap, and the droop with the grid's frequency
    `blind_pct`, when the supply temperature is not known
Limits go down at once and up slowly (`agent.power.limit_ramp`). When the least power is still too
much, that is when a case would pass its limit within `shed_lead_s`, loads are switched off, the
lowest priority first; they come back one by one when the coolant is cold again.
"""

from agent.core.component import Part
from agent.core.errors import OrderError
from agent.core.stored_record import Kept
from agent.power import build, report
from agent.power.allocator import share
from agent.power.demand_interval import Profile
from agent.power.limit_ramp import Hold
from agent.power.load_shed import Switching
from agent.power.measurement import Sight
from agent.power.schedule import Schedule
from protocols.time_units import NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.agent import Actions, Agent
    from agent.power.load import Load
    from protocols.cbor import Map

KEY = "throttle.schedule"
_AHEAD_S = 5.0
_BLIND_AFTER = 3 * SECOND
"""As long as the loops wait for first readings, too."""


class Throttle(Part):
    """See the module's docstring. `settings` is the section `throttle` of the configuration."""

    def __init__(self, agent: "Agent", settings: "dict[str, Any]", port: int) -> None:
        Part.__init__(self, agent, settings, port)
        self.loads: list[Load] = build.loads(agent, settings)
        self.services = build.services(settings, self.loads)
        self.optics = build.optics(agent, settings, self.loads)
        self.droop = build.droop(settings)
        self._frequency = build.reading(agent, settings.get("droop"))
        self.hold = Hold(
            settings["hold_s"] * SECOND, settings["step_pct"], settings["step_s"] * SECOND
        )
        self.profile = Profile(settings["profile_s"] * SECOND)
        self.sight = Sight(agent, settings, self.loads)
        self.headroom = self.sight.headroom
        self._switching = Switching(agent, settings, self.loads, self.optics, self.headroom)
        self.plan = Schedule()
        for entry in settings["schedule"]:
            self.plan.add(entry["at_utc_s"] * SECOND, entry["action"], entry["value"])
        self.state = report.FREE
        self.budget_w = self.claimed_w = 0
        self.cap_w = 0
        self.cap_pct = 100
        self.droop_permille = 1000
        self.executed: list[tuple[int, int]] = []
        """Ticks (number, planned UTC in microseconds) in which scheduled entries were done."""
        self._store = Kept(port, KEY)
        self._saved = b""
        self._decided = self._known_at = 0

    def start(self, now: int) -> None:
        """Begin."""
        self._known_at = now

    # What others ask.

    def schedule(self, at_utc_us: int, action: str, value: int) -> str:
        """Have `action` done with `value` in the tick that begins at a UTC instant, microseconds.

        Actions: cap_w (watts of all loads, 0 none), cap_pct (percent of the rated power, 100 none),
        supply_milli_c and dp_milli_kpa (set-points, thousandths). Gives what is wrong with it, or
        an empty text when it was taken; it then survives a restart if the part has a store.
        """
        fault = self.plan.add(at_utc_us, action, value)
        self._save()
        return fault

    def cancel(self) -> int:
        """Forget every entry that was not done yet; gives how many."""
        count = self.plan.cancel()
        self._save()
        return count

    def order(self, name: str, arguments: "Map", now: int) -> "str | None":
        """Take the commands `schedule` (at_utc_s, action, value; or cancel: 1) and `shed` (pct: the
        share of the rated power that may be drawn from now on, 100 for all).
        """
        if name == "shed":
            fault = self.plan.add(0, "cap_pct", _whole(arguments, "pct"))
            text = "loads may draw %d %%" % _whole(arguments, "pct")
        elif name == "schedule" and arguments.get("cancel"):
            return "%d entries forgotten" % self.cancel()
        elif name == "schedule":
            at, value = _whole(arguments, "at_utc_s"), _whole(arguments, "value")
            action = str(arguments.get("action", ""))
            fault = self.schedule(at * SECOND, action, value)
            text = "%s %d at %d" % (action, value, at)
        else:
            return None
        if fault:
            raise OrderError(fault)
        return text

    # Ports.

    def event(self, kind: str, now: int) -> None:
        """Take what the store says."""
        self._store.event(kind)

    def receive(self, data: bytes, now: int) -> None:
        """Take the schedule that was kept."""
        payload = self._store.take(data)
        if payload is not None:
            self._saved = payload
            self.plan.read(payload)

    def _save(self) -> None:
        text = self.plan.text()
        if self._store.open and text != self._saved:
            self._saved = text
            self._store.write(text)

    def link_event(self, index: int, kind: str, now: int) -> None:
        """Take an event of a service's port."""
        service = self.services[index]
        if kind == "opened":
            service.opened(now)
        elif kind in ("closed", "failed"):
            service.closed(now)
        self._look(now)

    def link_receive(self, index: int, data: bytes, now: int) -> None:
        """Take bytes of a service."""
        answers = self.services[index].answers
        self.services[index].receive(data, now)
        if self.services[index].answers != answers:
            self.links[index].proven()
        self._look(now)

    def wake(self, now: int) -> None:
        """Let the services see that time passed."""
        for service in self.services:
            if now >= service.deadline():
                service.wake(now)
        self._look(now)

    def deadline(self) -> int:
        """Give the next deadline of the services."""
        due = NEVER
        for service in self.services:
            due = min(due, service.deadline())
        return due

    def _look(self, now: int) -> None:
        """Make connections anew that are of no use any more; learn what was read."""
        for service, link in zip(self.services, self.links):
            if service.hang_up:
                again, service.hang_up = service.hang_up == "again", ""
                if link.up and again:
                    link.again()
                elif link.up:
                    link.close(now)
        for load in self.loads:
            load.learn(now)

    def outbox(self) -> "Actions":
        """Hand over what the ports are asked to do."""
        out = self._store.outbox()
        for service, link in zip(self.services, self.links):
            if service.up:
                out.extend([(link.port, "write", data) for data in service.out()])
        return out

    # Time.

    def tick(self, now: int) -> None:
        """Do what is scheduled; look at the facility's flow; decide when there are new readings."""
        if self.plan.entries:
            self._execute(now)
        if self.sight.stopped(now):
            self._decide(now)
        if self.sight.fresh(now) or now - self._decided >= 2 * SECOND:
            self._decide(now)

    def _execute(self, now: int) -> None:
        """Do every entry whose time has come, in the row's own slot.

        Without UTC only what has no time: an order to shed at once must not wait for a receiver.
        """
        clock, ticks = self.agent.clock, self.agent.ticks
        stagger = self.settings["slot"] * self.settings["stagger_ms"] * 1000
        utc = ticks.number * ticks.period + ticks.slot - stagger
        if clock.utc(now) is None or clock.state(now) not in ("sync", "holdover"):
            utc = 0
        entry = self.plan.due(utc)
        while entry is not None:
            self._act(entry[1], entry[2])
            self.executed = (self.executed + [(ticks.number, entry[0])])[-8:]
            self._save()
            entry = self.plan.due(utc)
            if entry is None:
                self._decide(now)

    def _act(self, action: str, value: int) -> None:
        agent = self.agent
        if action == "cap_w":
            self.cap_w = value
        elif action == "cap_pct":
            self.cap_pct = value
        elif action == "supply_milli_c":
            agent.supply.config.setpoint = value / 1000
            agent.supply.retune(agent.supply.config)
        else:
            agent.pressure.config.setpoint = value / 1000
            agent.pressure.retune(agent.pressure.config)

    # The decision.

    def _decide(self, now: int) -> None:
        elapsed, self._decided = now - self._decided, now
        self.sight.measure(now)
        if self.droop is not None and self._frequency is not None:
            self.droop_permille = self.droop.permille(self._frequency.milli(now))
        self._account(now, elapsed)
        claims, budget = self._claims(now)
        self.budget_w, self.claimed_w = budget, sum([claim[2] for claim in claims])
        targets, missing = share(budget, claims)
        rise = self._may_rise()
        for load, target in zip(self.loads, targets):
            if load.on and load.can_limit and self.hold.settle(load, target, rise, now):
                load.tell(now)
        self._switching.step(missing, rise, now)
        self.state = report.state(self, now)

    def _claim(self, load: "Load", now: int) -> "tuple[int, int, int]":
        """Priority, least and most of a load; what cannot be limited draws what it likes."""
        head = self.headroom
        if not load.on:
            return load.priority, 0, 0
        if not load.can_limit:
            return load.priority, load.max_w, load.max_w
        most = 1000
        if head.supply_c is not None:
            most = load.kind.permille(head.supply_c + max(0.0, head.rate) * _AHEAD_S)
        elif now - self._known_at > _BLIND_AFTER:
            most = 10 * self.settings["blind_pct"]
        return load.priority, load.min_w, max(load.min_w, load.max_w * most // 1000)

    def _claims(self, now: int) -> "tuple[list[tuple[int, int, int]], int]":
        """What each load may claim, and the budget of all."""
        head = self.headroom
        if head.supply_c is not None:
            self._known_at = now
        claims = [self._claim(load, now) for load in self.loads]
        rated = sum([load.max_w for load in self.loads])
        budget = min(sum([claim[2] for claim in claims]), rated * self.cap_pct // 100)
        budget = min(budget, rated * self.droop_permille // 1000)
        if self.cap_w:
            budget = min(budget, self.cap_w)
        if head.lost:
            budget = 0
        elif self.sight.saturated():
            room = self.sight.room()
            budget = budget if room is None else min(budget, room)
        return claims, budget

    def _may_rise(self) -> bool:
        """Whether this is the row's own slot: steps up of many rows do not fall together."""
        ticks, settings = self.agent.ticks, self.settings
        period: int = settings["step_s"] * SECOND
        own: int = period * settings["slot"] // settings["slots"]
        cycle = ticks.period * ticks.per_cycle
        return (ticks.number * ticks.period - own) % period < cycle

    # What is said.

    def _account(self, now: int, elapsed: int) -> None:
        utc = self.agent.clock.utc(now)
        if utc is not None and 0 < elapsed < 10 * SECOND:
            self.profile.take(utc, self.sight.load_w(now), elapsed)

    def points(self) -> "list[tuple[str, str, int, int]]":
        """Name the points."""
        return report.POINTS

    def values(self, now: int) -> "list[int | None]":
        """Give their values."""
        return report.values(self, now)

    def status(self, now: int) -> "object":
        """Show what limits the loads and what each was told."""
        return report.status(self, now)


def _whole(arguments: "Map", key: str) -> int:
    value = arguments.get(key)
    if type(value) is not int:
        raise OrderError(key + ": a whole number is needed")
    return value
