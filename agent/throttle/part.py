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
Limits go down at once and up slowly (`agent.throttle.hold`). When the least power is still too
much, that is when a case would pass its limit within `shed_lead_s`, loads are switched off, the
lowest priority first; they come back one by one when the coolant is cold again.
"""

from agent.errors import OrderError
from agent.jsontext import Object
from agent.kept import Kept
from agent.parts import Part
from agent.readings import Sensor
from agent.throttle import build
from agent.throttle.headroom import Headroom
from agent.throttle.hold import Hold
from agent.throttle.onset import SURE, SUSPICIOUS, Onset
from agent.throttle.profile import Profile
from agent.throttle.schedule import Schedule
from agent.throttle.share import share
from protocols.timing import NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.agent import Actions, Agent
    from agent.throttle.loads import Load
    from protocols.cbor import Map

FREE, DERATED, LIMITED, LOST, SHED = 0, 1, 2, 3, 4
STATES = ("free", "derated", "limited", "lost", "shed")
KEY = "throttle.schedule"
_AHEAD_S = 5.0
_BLIND_AFTER = 3 * SECOND
"""As long as the loops wait for first readings, too."""
_TWICE = SECOND // 2
_SHED_EVERY = 5 * SECOND
_SURE = 8 * SECOND
"""How long it must look as if a case becomes too hot: limits that were just told act by then."""
_BACK_BELOW_K = 2
_SATURATED_PCT = 1.0
_ABOVE_K = 2.0
_HOTTEST_C = 80


class Throttle(Part):
    """See the module's docstring. `settings` is the section `throttle` of the configuration."""

    def __init__(self, agent: "Agent", settings: "dict[str, Any]", port: int) -> None:
        Part.__init__(self, agent, settings, port)
        self.loads: list[Load] = build.loads(agent, settings)
        self.services = build.services(settings, self.loads)
        self.optics = build.optics(agent, settings, self.loads)
        self.droop = build.droop(settings)
        self._frequency = build.reading(agent, settings.get("droop"))
        self._meter = build.reading(agent, settings.get("meter"))
        self.hold = Hold(
            settings["hold_s"] * SECOND, settings["step_pct"], settings["step_s"] * SECOND
        )
        self.profile = Profile(settings["profile_s"] * SECOND)
        self.headroom = Headroom(min([load.kind.knee_c() for load in self.loads]))
        self._sensors(agent)
        self.plan = Schedule()
        for entry in settings["schedule"]:
            self.plan.add(entry["at_utc_s"] * SECOND, entry["action"], entry["value"])
        self.state = FREE
        self.budget_w = self._claimed_w = 0
        self.cap_w = 0
        self.cap_pct = 100
        self.droop_permille = 1000
        self.executed: list[tuple[int, int]] = []
        """Ticks (number, planned UTC in microseconds) in which scheduled entries were done."""
        self._store = Kept(port, KEY)
        self._saved = b""
        self._supply_at = self._flow_at = -1
        self._decided = self._known_at = 0
        self._shed_next = self._over_since = 0

    def _sensors(self, agent: "Agent") -> None:
        config, station = agent.config, agent.fieldbus.station
        cdu, valve = station(config.supply.sensor), station(config.supply.actuators[0])
        stale = config.stale_us

        def of(where: "Any", point: str) -> "Sensor | None":
            return Sensor(where, point, stale) if where.profile.has(point) else None

        self._supply = Sensor(cdu, "SupplyTemperatureCelsius", stale)
        self._return = of(cdu, "ReturnTemperatureCelsius")
        self._flow = of(cdu, "FlowLitersPerMinute")
        self.facility_flow = of(valve, "PrimaryFlowLitersPerMinute")
        self._inlet = of(valve, "PrimarySupplyTemperatureCelsius")
        self._valve_station, self._cdu = valve, cdu
        self._onset = Onset()
        self._asked = 0

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
        self._watch_facility(now)
        at = self._supply.age(now)
        stamp = -1 if at is None else now - at
        self._look_more_often(stamp, now)
        if stamp != self._supply_at or now - self._decided >= 2 * SECOND:
            self._supply_at = stamp
            self._decide(now)

    def _look_more_often(self, at: int, now: int) -> None:
        """Without a flow reading the supply is read twice a cycle: its rise is seen sooner."""
        flow = self.facility_flow
        told = flow is not None and flow.value(now) is not None
        if not told and now - at >= _TWICE and now - self._asked >= _TWICE:
            self._asked = now
            self._cdu.ask()

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

    def _watch_facility(self, now: int) -> None:
        sensor = self.facility_flow
        if sensor is None:
            return
        age = sensor.age(now)
        if age is None or now - age == self._flow_at:
            return
        self._flow_at = now - age
        before = self.headroom.still
        self.headroom.facility(sensor.value(now), self.agent.supply.valve.position())
        if self.headroom.still == 1 and before == 0:
            self._valve_station.ask()  # once more, now: one reading alone takes nothing away
        elif self.headroom.still >= 2 and before < 2:
            self._decide(now)

    # The decision.

    def _decide(self, now: int) -> None:
        elapsed, self._decided = now - self._decided, now
        self._measure(now)
        self._account(now, elapsed)
        claims, budget = self._claims(now)
        self.budget_w, self._claimed_w = budget, sum([claim[2] for claim in claims])
        targets, missing = share(budget, claims)
        rise = self._may_rise()
        for load, target in zip(self.loads, targets):
            if load.on and load.can_limit and self.hold.settle(load, target, rise, now):
                load.tell(now)
        self._switch(missing, rise, now)
        self._name_state(now)

    def _look_for_onset(self, now: int) -> bool:
        """Without a flow reading: whether the supply tells that the facility water has stopped."""
        flow, valve = self.facility_flow, self.agent.supply.valve.position()
        if flow is not None and flow.value(now) is not None:
            return False
        others = [
            None if sensor is None else sensor.value(now)
            for sensor in (self._return, self._inlet, self._flow)
        ]
        found = self._onset.see(
            self._supply_at, self._supply.value(now), others[0], others[1], others[2], valve
        )
        if found == SUSPICIOUS:
            self._cdu.ask()  # once more, now: one reading alone takes nothing away
        return found == SURE

    def _measure(self, now: int) -> None:
        loop, supply, back = self.agent.supply, self._supply.value(now), self._return
        warm = None if back is None else back.value(now)
        rise = None if warm is None or supply is None else warm - supply
        self.headroom.step(
            None if supply is None else (self._supply_at, supply),
            rise,
            None if self._flow is None else self._flow.value(now),
            None if self._inlet is None else self._inlet.value(now),
            self._saturated() or (supply is not None and supply > loop.setpoint + _ABOVE_K),
            self.load_w(now),
        )
        if self._look_for_onset(now):
            self.headroom.begin("supply rises and nothing else moves")
        if self.droop is not None and self._frequency is not None:
            self.droop_permille = self.droop.permille(self._frequency.milli(now))

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
        elif self._saturated():
            room = self._room()
            budget = budget if room is None else min(budget, room)
        return claims, budget

    def _room(self) -> "int | None":
        """What can be rejected with the valve as it is: the warmer the supply, the more, but the
        less the loads may draw. Where both are the same the loop stands.
        """
        best: int | None = None
        for supply_c in range(int(self.headroom.most_c), _HOTTEST_C):
            heat = self.headroom.limit_at(supply_c)
            if heat is None:
                return None
            drawn = sum(
                [
                    max(load.min_w, load.max_w * load.kind.permille(supply_c) // 1000)
                    for load in self.loads
                    if load.on
                ]
            )
            best = max(best or 0, min(heat, drawn))
            if heat >= drawn:
                break
        return best

    def _saturated(self) -> bool:
        loop = self.agent.supply
        position = loop.valve.position()
        if position is None:
            return False
        most: float = loop.config.max_pct - _SATURATED_PCT
        return position >= most

    def _may_rise(self) -> bool:
        """Whether this is the row's own slot: steps up of many rows do not fall together."""
        ticks, settings = self.agent.ticks, self.settings
        period: int = settings["step_s"] * SECOND
        own: int = period * settings["slot"] // settings["slots"]
        cycle = ticks.period * ticks.per_cycle
        return (ticks.number * ticks.period - own) % period < cycle

    def _switch(self, missing: int, rise: bool, now: int) -> None:
        """Turn off what would become too hot; turn on again, one by one."""
        head = self.headroom
        hot = [lot for lot in self.optics if lot.judge(self.agent.alarms, now)]
        for lot in hot:
            if lot.load is not None and lot.load.on and lot.load.can_switch:
                self._turn(lot.load, False, now)
        if head.supply_c is None:
            return
        ahead = head.supply_c + max(0.0, head.rate) * self.settings["shed_lead_s"]
        over = [
            load
            for load in self.loads
            if load.on and load.kind.case_c(ahead, load.least_permille()) >= load.kind.limit_c
        ]
        if not over:
            self._over_since = now
        if over and now >= self._shed_next and now - self._over_since >= _SURE:
            self._shed(now)
        elif not over and not hot and not missing and rise and not head.lost:
            self._bring_back(head.supply_c, now)

    def _shed(self, now: int) -> None:
        """Turn off the lowest priority that can be turned off."""
        able = [load for load in self.loads if load.on and load.can_switch]
        if not able:
            return
        lowest = min([load.priority for load in able])
        for load in able:
            if load.priority == lowest:
                self._turn(load, False, now)
        self._shed_next = now + _SHED_EVERY

    def _bring_back(self, supply_c: float, now: int) -> None:
        off = [load for load in self.loads if not load.on]
        off.sort(key=lambda load: -load.priority)
        for load in off:
            cold = supply_c <= load.kind.knee_c() - _BACK_BELOW_K
            if cold and now - load.shed_at >= self.hold.hold_us:
                self._turn(load, True, now)
                return

    def _turn(self, load: "Load", on: bool, now: int) -> None:
        load.switch(on, now)
        for station in build.stations(load):
            pairs = [
                (index, int(other.on))
                for other in self.loads
                for where, index in other.outlets
                if where is station and other.shed_at
            ]
            station.want(pairs, stop=not on)
        self.agent.alarms.set("load_shed:" + load.name, not on, "is switched off", now)

    # What is said.

    def load_w(self, now: int) -> int:
        """Watts of all loads: the meter's, else the sum of what the services report."""
        if self._meter is not None:
            milli = self._meter.milli(now)
            if milli is not None:
                return milli // 1000
        return sum([load.watts for load in self.loads])

    def _account(self, now: int, elapsed: int) -> None:
        utc = self.agent.clock.utc(now)
        if utc is not None and 0 < elapsed < 10 * SECOND:
            self.profile.take(utc, self.load_w(now), elapsed)

    def _name_state(self, now: int) -> None:
        told = sum([load.limit_w for load in self.loads])
        rated = sum([load.max_w for load in self.loads])
        head, alarms = self.headroom, self.agent.alarms
        if False in [load.on for load in self.loads]:
            self.state = SHED
        elif head.lost:
            self.state = LOST
        elif self.budget_w < self._claimed_w:
            self.state = LIMITED
        else:
            self.state = DERATED if told < rated else FREE
        alarms.set("heat_lost", head.lost, "heat is not rejected: " + head.why, now)
        text = "loads are limited to %d of %d W" % (told, rated)
        alarms.set("throttled", self.state != FREE, text, now)
        for load in self.loads:
            target = load.target
            if target is not None:
                wrong = target.stubborn or target.refused != 0
                alarms.set("limit_refused:" + load.name, wrong, "does not take its limit", now)

    def points(self) -> "list[tuple[str, str, int, int]]":
        """Name the points."""
        return [
            ("throttle.State", "1", 1, 1),
            ("throttle.BudgetWatts", "W", 1, 1),
            ("throttle.LimitWatts", "W", 1, 1),
            ("throttle.LoadWatts", "W", 1, 1),
            ("throttle.HeatWatts", "W", 1, 1),
            ("throttle.HeadroomWatts", "W", 1, 1),
            ("throttle.LoadMeanWatts", "W", 1, 1),
            ("throttle.LoadPeakWatts", "W", 1, 1),
        ]

    def values(self, now: int) -> "list[int | None]":
        """Give their values."""
        head = self.headroom
        spare = None
        if head.limit_w is not None and head.heat_w is not None:
            spare = min(head.limit_w - head.heat_w, sum([load.max_w for load in self.loads]))
        return [
            self.state,
            self.budget_w,
            sum([load.limit_w if load.on else 0 for load in self.loads]),
            self.load_w(now),
            head.heat_w,
            spare,
            self.profile.mean_w,
            self.profile.peak_w,
        ]

    def status(self, now: int) -> Object:
        """Show what limits the loads and what each was told."""
        values = self.values(now)
        return Object(
            [
                ("state", STATES[self.state]),
                ("budget_w", self.budget_w),
                ("limit_w", values[2]),
                ("load_w", values[3]),
                ("heat_w", values[4]),
                ("headroom_w", values[5]),
                ("cap_w", self.cap_w),
                ("cap_pct", self.cap_pct),
                ("droop_permille", self.droop_permille),
                ("profile", [self.profile.began_us, values[6], values[7]]),
                ("waiting", [list(entry) for entry in self.plan.entries]),
                ("done", [list(entry) for entry in self.executed]),
                ("services", [service.trouble for service in self.services]),
                ("loads", [_load(load) for load in self.loads]),
            ]
        )


def _whole(arguments: "Map", key: str) -> int:
    value = arguments.get(key)
    if type(value) is not int:
        raise OrderError(key + ": a whole number is needed")
    return value


def _load(load: "Load") -> Object:
    target = load.target
    return Object(
        [
            ("name", load.name),
            ("on", load.on),
            ("limit_w", load.limit_w),
            ("shown_w", None if target is None else target.shown),
            ("watts", None if target is None else target.watts),
            ("refused", 0 if target is None else target.refused),
        ]
    )
