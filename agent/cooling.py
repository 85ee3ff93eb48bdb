"""The part `cooling`: more than two PI loops. It gathers readings, and replaces what does better.

    exchanger   the supply loop by one with a model (`agent.steering`)
    pumps       the pressure loop by a pair with modes, rotation, take-over (`agent.pumping`)
    dew         a floor under the supply's set-point (`agent.control.dew`)
    optimum     set-points of least power (`agent.control.optimum`); nothing needs it
    fans        the cooler's fans on drives on the bus (`agent.fanning`)
    always      the valve's feedback against its demand, doubt of sensors, hand on a drive,
                operating modes, proof tests

Each cycle, before the loops step, `prepare` reads, judges and aims; what it finds wrong goes to the
supervisor as causes. Operating modes hold actuators where work at the loop needs them, for a time,
then it is automatic again; safety (`agent.interlock`) outranks them.

    mode    valve   pumps                    for
    off     shut    stopped                  nothing cools
    fill    shut    30 %                     filling, with the dry-run guard of `safety`
    vent    shut    60 and 20 %, by turns    driving air to the vents
    drain   open    stopped                  emptying
    hand    as told as told                  trials
    auto    the loops
"""

from agent.control.calibrate import Calibration
from agent.control.cooling import Cooling, Readings
from agent.control.doubt import Balance, Doubt
from agent.control.flowlaw import DELTA_T, DP, FLOW
from agent.control.proofs import Proofs
from agent.errors import OrderError
from agent.jsontext import Object
from agent.parts import Part
from agent.proofstore import ProofStore
from agent.readings import Sensor
from agent.safety import DEGRADED
from agent.status import milli
from protocols.timing import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.agent import Actions, Agent
    from agent.fanning import Fanning
    from agent.pumping import Pumping
    from agent.station import Station
    from agent.steering import SteeredLoop

_SUPPLY, _RETURN, _FLOW = (
    "SupplyTemperatureCelsius",
    "ReturnTemperatureCelsius",
    "FlowLitersPerMinute",
)
_COLD, _WARM = "PrimarySupplyTemperatureCelsius", "PrimaryReturnTemperatureCelsius"
_FACILITY_FLOW = "PrimaryFlowLitersPerMinute"
_AIR, _HUMIDITY, _REMOTE = "TemperatureCelsius", "HumidityPercent", "Remote"
_RATE_K_S, _APART_K = 2.0, 15 / 10
_VENT_S = 20.0
_LONGEST_MIN = 240

MODES = (
    ("off", 0.0, 0.0),
    ("fill", 0.0, 30.0),
    ("vent", 0.0, 60.0),
    ("drain", 100.0, 0.0),
)
"""Operating mode, valve, pumps, percent; `hand` brings its own, `auto` has none."""


class CoolingPart(Part):
    """Built from the section `cooling`."""

    def __init__(self, agent: "Agent", settings: "dict[str, Any]", port: int) -> None:
        super().__init__(agent, settings, port)
        self.readings = Readings()
        self.cooling: Cooling | None = None
        self.steered: SteeredLoop | None = None
        self.pumping: Pumping | None = None
        self.fanning: Fanning | None = None
        self.proofs = Proofs()
        self.kept = ProofStore(self.proofs, port)
        self.calibration = Calibration()
        self.mode = "auto"
        self.until = 0
        self._valve = self._pumps = 0.0
        self._mode_s = 0.0
        self._wrong: list[tuple[str, int, str]] = []
        self._apart_s = 0.0
        self._ticks = 0
        self._handled = False
        self._read_sensors()
        if "exchanger" in settings:
            self._steer()
        if "pumps" in settings:
            self._pair()
        agent.supervisor.watch(agent.supply, agent.pressure)
        agent.supervisor.sources.append(self)

    def _read_sensors(self) -> None:
        agent, settings = self.agent, self.settings
        config = agent.config
        stale = config.stale_us
        unit = agent.fieldbus.station(config.supply.sensor)
        facility = agent.fieldbus.station(settings["facility"])
        self._return = _sensor(unit, _RETURN, stale)
        self._flow = _sensor(unit, _FLOW, stale)
        self._cold = _sensor(facility, _COLD, stale)
        self._warm = _sensor(facility, _WARM, stale)
        self._facility_flow = _sensor(facility, _FACILITY_FLOW, stale)
        self._spare: Sensor | None = None
        if "spare_supply" in settings:
            self._spare = Sensor(agent.fieldbus.station(settings["spare_supply"]), _SUPPLY, stale)
        self._rooms: list[tuple[Sensor, Sensor]] = []
        for name in settings.get("dew", {}).get("sensors", []):
            room = agent.fieldbus.station(name)
            self._rooms.append((Sensor(room, _AIR, stale), Sensor(room, _HUMIDITY, stale)))
        self._outdoor: Sensor | None = None
        if "optimum" in settings:
            self._outdoor = Sensor(agent.fieldbus.station(settings["optimum"]["air"]), _AIR, stale)
        self.doubt = Doubt(_RATE_K_S, _APART_K)
        self.balance = Balance(settings["balance_pct"]) if settings["balance_pct"] else None
        self._believed = _Believed(agent.supply.sensor)
        agent.supply.sensor = self._believed  # type: ignore[assignment]  # the same shape

    def _steer(self) -> None:
        """Give the supply loop the exchanger's model."""
        from agent.steering import SteeredLoop  # noqa: PLC0415 - only where there is a model

        agent, settings = self.agent, self.settings
        config = agent.config.supply
        sections = {
            "exchanger": settings["exchanger"],
            "supply": {
                "setpoint_c": config.setpoint,
                "low_c": settings["low_c"],
                "high_c": settings["high_c"],
                "min_pct": config.min_pct,
                "max_pct": config.max_pct,
                "rate_pct_per_s": config.rate_pct_per_s,
                "lag_s": settings["lag_s"],
            },
            "pumps": {
                "mode": "dp",
                "setpoint": agent.config.pressure.setpoint,
                "min_pct": agent.config.pressure.min_pct,
                "max_pct": agent.config.pressure.max_pct,
                "rate_pct_per_s": agent.config.pressure.rate_pct_per_s,
            },
        }
        if "dew" in settings:
            dew = dict(settings["dew"])
            dew["sensors"] = len(dew["sensors"])
            sections["dew"] = dew
        if "optimum" in settings:
            sections["optimum"] = settings["optimum"]
        if "fans" in settings:
            sections["fans"] = settings["fans"]
        self.cooling = Cooling(sections)
        if "fans" in settings:
            from agent.fanning import Fanning  # noqa: PLC0415 - only where there are fans

            self.fanning = Fanning(agent, self.cooling, settings["fans"])
        self.steered = SteeredLoop(agent.supply, self.cooling, self.readings)
        agent.supply = self.steered

    def _pair(self) -> None:
        """Make the pumps a pair."""
        from agent.pumping import Pumping  # noqa: PLC0415 - only where it is wanted

        self.pumping = Pumping(self.agent.pressure, self.settings["pumps"], self.readings)
        self.agent.pressure = self.pumping

    # The cycle.

    def prepare(self, now: int, dt: float) -> None:
        """Read, judge, aim; hold what an operating mode or a proof holds."""
        self._wrong = []
        self._handled = False
        self._read(now, dt)
        if self.cooling is not None:
            self._aim(self.cooling, now, dt)
        if self.fanning is not None:
            self.fanning.step(self.readings, now, dt)
        self._check_valve(dt)
        self._check_drives()
        if self.mode != "auto":
            self._hold(now, dt)
        if self.proofs.running:
            self._prove(now, dt)
        self.kept.look(self.agent.clock.utc(now))
        self._calibrate(now, dt)

    def _calibrate(self, now: int, dt: float) -> None:
        """Let the calibration see raw readings."""
        if self.calibration.state == "running":
            turning = [p for p in self.agent.pressure.pumps if (p.speed() or 0.0) > 0]
            supply, back = self._believed.raw.value(now), _value(self._return, now)
            valve = self.readings.valve_pct
            self.calibration.take(supply, back, valve, len(turning) > 0, dt)

    def event(self, kind: str, now: int) -> None:
        """Take what the store says."""
        self.kept.event(kind)

    def receive(self, data: bytes, now: int) -> None:
        """Take what the store has kept."""
        self.kept.receive(data)

    def outbox(self) -> "Actions":
        """Hand over what the store is asked to do."""
        return self.kept.outbox()

    def _read(self, now: int, dt: float) -> None:
        seen, settings, agent = self.readings, self.settings, self.agent
        back = _value(self._return, now)
        seen.return_c = None if back is None else back + settings["return_offset_k"]
        supply = self._believed.raw.value(now)
        if supply is not None:
            supply += settings["supply_offset_k"]
        seen.supply_c = self.doubt.judge(supply, _value(self._spare, now), back, dt)
        self._believed.now, self._believed.held = now, seen.supply_c
        seen.flow_lpm = _value(self._flow, now)
        seen.dp_kpa = agent.pressure.sensor.value(now)
        seen.facility_c = _value(self._cold, now)
        seen.facility_lpm = _value(self._facility_flow, now)
        seen.valve_pct = agent.supply.valve.position()
        self._check_sensors(now, dt)

    def _check_sensors(self, now: int, dt: float) -> None:
        doubt, balance, seen = self.doubt, self.balance, self.readings
        for wrong, code, text in (
            (doubt.jumped, "sensor_rate", "supply temperature moved faster than it can"),
            (doubt.stuck, "sensor_stuck", "supply temperature stands while the return moves"),
            (doubt.apart, "sensor_apart", "supply temperature and its spare differ"),
        ):
            if wrong:
                self._wrong.append((code, DEGRADED, text))
        warm = _value(self._warm, now)
        cold, lpm, flow = seen.facility_c, seen.facility_lpm, seen.flow_lpm
        supply, back = seen.supply_c, seen.return_c
        if balance is None or self.cooling is None or None in (warm, cold, lpm, flow, supply, back):
            return
        exchanger = self.cooling.exchanger
        into = exchanger.tcs_capacity(flow or 0.0) * ((back or 0.0) - (supply or 0.0))
        out = exchanger.capacity(lpm or 0.0) * ((warm or 0.0) - (cold or 0.0))
        balance.judge(into, out, dt)
        if balance.off:
            self._wrong.append(
                ("heat_balance", DEGRADED, "heat on both sides differs: a sensor is off")
            )

    def _aim(self, cooling: Cooling, now: int, dt: float) -> None:
        """Move the set-points: dew point, optimiser."""
        for i, (air, humidity) in enumerate(self._rooms):
            cooling.humidity(i, air.value(now), humidity.value(now), now)
        if self._outdoor is not None:
            self.readings.air_c = self._outdoor.value(now)
            cooling.propose(self.readings, now)
            self._propose_dp(cooling)
        else:
            cooling.wanted_c = self.agent.config.supply.setpoint
        cooling.aim(now, dt)
        dew = cooling.dew
        if dew is not None:
            if dew.believed < len(self._rooms):
                text = "%d of %d humidity sensors are believed" % (dew.believed, len(self._rooms))
                self._wrong.append(("humidity_sensor", DEGRADED, text))
            if dew.apart:
                self._wrong.append(("humidity_apart", DEGRADED, "humidity sensors differ"))

    def _propose_dp(self, cooling: Cooling) -> None:
        """The optimiser's flow as a set-point of dP, which goes with the square of the flow."""
        loop, config = self.agent.pressure, self.agent.config.pressure
        speed = cooling.proposed_pct
        wanted = config.setpoint
        if speed is not None:
            model = self.settings["optimum"]
            flow = 0.0 if cooling.optimum is None else cooling.optimum.flow_lpm(speed)
            part = flow / cooling.exchanger.design_lpm
            wanted = config.setpoint * part * part
            least = model["dp_min_kpa"]
            wanted = least if wanted < least else config.setpoint if part > 1.0 else wanted
        gap = wanted - loop.setpoint
        loop.setpoint += 0.2 if gap > 0.2 else -0.2 if gap < -0.2 else gap

    def _check_valve(self, dt: float) -> None:
        valve, settings = self.agent.supply.valve, self.settings
        position, asked = valve.position(), valve.asked
        if position is None or asked is None:
            self._apart_s = 0.0
            return
        limit = settings["valve_apart_pct"]
        apart = not -limit < position - asked < limit
        self._apart_s = self._apart_s + dt if apart else 0.0
        if self._apart_s >= settings["valve_apart_s"]:
            self._wrong.append(
                ("valve_feedback", DEGRADED, "the valve is not where it was told to be")
            )

    def _check_drives(self) -> None:
        """A drive that somebody has taken in hand does not obey: another one carries."""
        barred = []
        pumps, fans = self.agent.pressure.pumps, self.fanning
        for i, pump in enumerate(pumps if fans is None else pumps + fans.drives):
            station = pump.station
            if not station.profile.has_bit(_REMOTE) or station.lost:
                continue
            if station.device.register(_bit(station)) is not None and not station.device.bit(
                _REMOTE
            ):
                barred.append(i)
                self._wrong.append(
                    (
                        "hand:" + station.name,
                        DEGRADED,
                        "somebody has the drive in hand:" + station.name,
                    )
                )
        if self.pumping is not None:
            self.pumping.barred = [i for i in barred if i < len(pumps)]

    def tick(self, now: int) -> None:
        """See a trip between two cycles."""
        pumping = self.pumping
        if pumping is None:
            return
        every = self.settings["pumps"]["glance_ms"] * 1000
        if not every:
            return
        self._ticks += 1
        if not self._handled and pumping.broken():
            self._handled = True
            pumping.take_over(now)
        if self._ticks * self.agent.ticks.period >= every:
            self._ticks = 0
            pumping.glance()

    def causes(self, now: int) -> "list[tuple[str, int, str]]":
        """Name what is wrong, for the supervisor."""
        wrong = self._wrong
        if self.pumping is not None and self.pumping.waits(now):
            wrong = wrong + [("pumps_wait", DEGRADED, "pumps wait for their slot to start")]
        if self.fanning is not None:
            wrong = wrong + self.fanning.causes()
        if self.mode != "auto":
            left = (self.until - now) // SECOND
            wrong = wrong + [("mode:" + self.mode, DEGRADED, "held by hand, %d s left" % left)]
        return wrong

    # Operating modes and proofs.

    def _hold(self, now: int, dt: float) -> None:
        """What the operating mode asks of the actuators."""
        if now >= self.until:
            self.mode = "auto"
            return
        self._mode_s += dt
        pumps = self._pumps
        if self.mode == "vent" and int(self._mode_s / _VENT_S) % 2:
            pumps = 20.0
        self.agent.supply.forced = self._valve
        self.agent.pressure.forced = pumps

    def _prove(self, now: int, dt: float) -> None:
        proofs, agent = self.proofs, self.agent
        if agent.supervisor.state != "normal" or self.mode != "auto":
            proofs.break_off(now)
            return
        goal = proofs.valve(agent.supply.valve.position(), now, dt)
        if goal is not None:
            agent.supply.forced = goal
        if proofs.running == "pumps" and self.pumping is not None:
            lead = self.pumping.pumps[self.pumping.order[0]]
            kpa = self.readings.dp_kpa
            part = None if kpa is None else kpa / self.pumping.setpoint
            proofs.pumps(lead.speed(), part, now, dt)

    def order(self, name: str, arguments: "Any", now: int) -> "str | None":
        """Do `override`, `release`, `rotate`, `hold`, `proof` and `calibrate`."""
        if name == "override":
            return self.override(
                str(arguments.get("mode", "hand")),
                arguments.get("minutes", 10),
                arguments.get("valve_pct"),
                arguments.get("pump_pct"),
                now,
            )
        if name == "release":
            self.mode = "auto"
            return "automatic"
        if name == "rotate":
            return self.rotate()
        if name == "hold":
            return self.hold(str(arguments.get("mode", DP)), arguments.get("setpoint_milli"))
        if name == "proof":
            return self.proof(str(arguments.get("what", "valve")))
        if name == "calibrate":
            self.calibration.begin()
            return "averages over a steady minute; see the status"
        return None

    def override(
        self, mode: str, minutes: int, valve_pct: "int | None", pump_pct: "int | None", now: int
    ) -> str:
        """Hold an operating mode for so many minutes. Raises `OrderError`."""
        if type(minutes) is not int or not 1 <= minutes <= _LONGEST_MIN:
            raise OrderError("minutes: 1 to %d" % _LONGEST_MIN)
        held = [(valve, pumps) for named, valve, pumps in MODES if named == mode]
        if mode == "hand":
            for percent in (valve_pct, pump_pct):
                if type(percent) is not int or not 0 <= percent <= 100:
                    raise OrderError("hand needs valve_pct and pump_pct, 0 to 100")
            held = [(float(valve_pct or 0), float(pump_pct or 0))]
        if not held:
            raise OrderError("mode: one of hand " + " ".join([named for named, _, _ in MODES]))
        self._valve, self._pumps = held[0]
        self.mode, self.until, self._mode_s = mode, now + 60 * minutes * SECOND, 0.0
        return "%s for %d min" % (mode, minutes)

    def rotate(self) -> str:
        """Change the lead pump. Raises `OrderError` when there is no other."""
        lead = "" if self.pumping is None else self.pumping.rotate()
        if not lead:
            raise OrderError("no other pump is available")
        return "lead is " + lead

    def hold(self, mode: str, milli: "int | None") -> str:
        """Let the pumps hold `dp`, `flow` (L/min) or `delta_t` (K), until a restart; without a
        set-point (thousandths) what is there now. Raises `OrderError`.
        """
        pumping, seen = self.pumping, self.readings
        if pumping is None or mode not in (DP, FLOW, DELTA_T):
            raise OrderError("mode: dp, flow or delta_t, and a pair of pumps")
        if mode != DP:
            key, low, high = ("setpoint_lpm", 1, 20_000) if mode == FLOW else ("setpoint_k", 2, 30)
            value = seen.flow_lpm
            if mode == DELTA_T:
                known = seen.return_c is not None and seen.supply_c is not None
                value = (seen.return_c or 0.0) - (seen.supply_c or 0.0) if known else None
            if milli is not None:
                value = milli / 1000 if type(milli) is int else None
            if value is None or not low <= value <= high:
                raise OrderError("setpoint_milli: %d to %d thousand" % (low, high))
            pumping.settings[key] = value
        pumping.hold(mode)
        return "pumps hold " + mode

    def proof(self, what: str) -> str:
        """Begin a proof test, `valve` or `pumps`. Raises `OrderError`."""
        if self.proofs.running:
            raise OrderError("a proof of %s runs" % self.proofs.running)
        if self.agent.supervisor.state != "normal":
            raise OrderError("only while the state is normal")
        if what == "valve":
            position = self.agent.supply.valve.position()
            if position is None:
                raise OrderError("the valve's position is not known")
            self.proofs.begin_valve(position)
        elif what == "pumps":
            self.rotate()
            self.proofs.begin_pumps()
        else:
            raise OrderError("what: valve or pumps")
        return "proof of %s begun" % what

    def status(self, now: int) -> "object":
        """Show what is held, what is learned, what was proven."""
        cooling, pumping = self.cooling, self.pumping
        shown: list[tuple[str, object]] = [("mode", self.mode)]
        if cooling is not None:
            shown += [
                ("floor_milli_c", milli(cooling.floor_c)),
                ("setpoint_milli_c", milli(cooling.setpoint_c)),
                ("dew_milli_c", milli(None if cooling.dew is None else cooling.dew.dew)),
                ("fouling_milli", milli(cooling.exchanger.fouling)),
                ("scale_milli", milli(cooling.exchanger.scale)),
            ]
        if pumping is not None:
            shown += [
                ("holds", pumping.mode),
                ("lead", pumping.pumps[pumping.order[0]].station.name),
                ("shares_milli", [milli(share) for share in pumping.shares]),
                ("rotations", pumping.rotations),
                ("output_milli_pct", milli(pumping.law.output)),
            ]
        if self.fanning is not None and cooling is not None:
            shown += [("fans_milli_pct", milli(cooling.fan_pct)), ("fans_full", self.fanning.full)]
        shown.append(
            (
                "proofs",
                [
                    Object([("at_us", at), ("what", what), ("result", result), ("s", seconds)])
                    for at, what, result, seconds in self.proofs.records
                ],
            )
        )
        if self.kept.lines:
            shown.append(("kept", self.kept.lines))
        made = self.calibration
        if made.state != "idle":
            shown.append(
                (
                    "calibration",
                    Object(
                        [
                            ("state", made.state),
                            ("supply_offset_milli_k", milli(made.supply_k)),
                            ("return_offset_milli_k", milli(made.return_k)),
                        ]
                    ),
                )
            )
        return Object(shown)


class _Believed:
    """The supply's sensor as the loops see it: what is left of it after all doubt."""

    def __init__(self, raw: Sensor) -> None:
        self.raw = raw
        self.name = raw.name
        self.source = raw.source
        self.now = -1
        self.held: float | None = None

    def quality(self, now: int) -> str:
        """Say good, bad, stale or none; what is doubted is bad."""
        quality = self.raw.quality(now)
        if self.value(now) is not None:
            return "good"
        return "bad" if quality == "good" else quality

    def value(self, now: int) -> "float | None":
        """Give the value of this cycle, or None when it is not good."""
        return self.held if now == self.now else self.raw.value(now)

    def age(self, now: int) -> "int | None":
        """Microseconds since it was last read, or None."""
        return self.raw.age(now)


def _sensor(station: "Station", point: str, stale: int) -> "Sensor | None":
    return Sensor(station, point, stale) if station.profile.has(point) else None


def _value(sensor: "Sensor | None", now: int) -> "float | None":
    return None if sensor is None else sensor.value(now)


def _bit(station: "Station") -> "Any":
    return station.profile.bits[station.profile.bit_index(_REMOTE)]
