"""The part `cooling`: more than two PI loops. It gathers readings, and replaces what does better.

    exchanger   the supply loop by one with a model (`agent.control.supply_feedforward`)
    pumps       the pressure loop by a pair with modes, rotation, take-over (`agent.control.pump_group`)
    dew         a floor under the supply's set-point (`agent.control.law.dew_point`)
    optimum     set-points of least power (`agent.control.law.optimizer`); nothing needs it
    fans        the cooler's fans on drives on the bus (`agent.control.fan_group`)
    always      readings and doubt of them (`agent.control.sensors`), the valve's feedback against its
                demand, hand on a drive, operating modes and proof tests (`agent.control.manual`)

Each cycle, before the loops step, `prepare` reads, judges and aims; what it finds wrong goes to the
supervisor as causes.
"""

from agent.control.law.cooling import Cooling, Readings
from agent.control.manual import ByHand
from agent.control.proof_store import ProofStore
from agent.control.sensors import Sensing
from agent.core.component import Part
from agent.core.json_writer import Object
from agent.safety.supervisor import DEGRADED
from agent.telemetry.status import milli

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.agent import Actions, Agent
    from agent.control.fan_group import Fanning
    from agent.control.pump_group import Pumping
    from agent.control.supply_feedforward import SteeredLoop
    from agent.fieldbus.device_session import Station

_REMOTE = "Remote"


class CoolingPart(Part):
    """Built from the section `cooling`."""

    def __init__(self, agent: "Agent", settings: "dict[str, Any]", port: int) -> None:
        super().__init__(agent, settings, port)
        self.readings = Readings()
        self.cooling: Cooling | None = None
        self.steered: SteeredLoop | None = None
        self.pumping: Pumping | None = None
        self.fanning: Fanning | None = None
        self._wrong: list[tuple[str, int, str]] = []
        self._apart_s = 0.0
        self._ticks = 0
        self._handled = False
        self.sensing = Sensing(agent, settings, self.readings)
        if "exchanger" in settings:
            self._steer()
        if "pumps" in settings:
            self._pair()
        self.hand = ByHand(agent, self.readings, self.pumping)
        self.kept = ProofStore(self.hand.proofs, port)
        agent.supervisor.watch(agent.supply, agent.pressure)
        agent.supervisor.sources.append(self)

    def _steer(self) -> None:
        """Give the supply loop the exchanger's model."""
        from agent.control.supply_feedforward import SteeredLoop  # noqa: PLC0415 - only where there is a model

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
            from agent.control.fan_group import Fanning  # noqa: PLC0415 - only where there are fans

            self.fanning = Fanning(agent, self.cooling, settings["fans"])
        self.steered = SteeredLoop(agent.supply, self.cooling, self.readings)
        agent.supply = self.steered

    def _pair(self) -> None:
        """Make the pumps a pair."""
        from agent.control.pump_group import Pumping  # noqa: PLC0415 - only where it is wanted

        self.pumping = Pumping(self.agent.pressure, self.settings["pumps"], self.readings)
        self.agent.pressure = self.pumping

    # The cycle.

    def prepare(self, now: int, dt: float) -> None:
        """Read, judge, aim; hold what an operating mode or a proof holds."""
        self._handled = False
        exchanger = None if self.cooling is None else self.cooling.exchanger
        self._wrong = self.sensing.read(exchanger, now, dt)
        if self.cooling is not None:
            self._aim(self.cooling, now, dt)
        if self.fanning is not None:
            self.fanning.step(self.readings, now, dt)
        self._check_valve(dt)
        self._check_drives()
        self.hand.step(now, dt)
        self.kept.look(self.agent.clock.utc(now))
        if self.hand.calibration.state == "running":
            supply, back = self.sensing.raw(now)
            self.hand.calibrate(supply, back, dt)

    def event(self, kind: str, now: int) -> None:
        """Take what the store says."""
        self.kept.event(kind)

    def receive(self, data: bytes, now: int) -> None:
        """Take what the store has kept."""
        self.kept.receive(data)

    def outbox(self) -> "Actions":
        """Hand over what the store is asked to do."""
        return self.kept.outbox()

    def _aim(self, cooling: Cooling, now: int, dt: float) -> None:
        """Move the set-points: dew point, optimiser."""
        for i, (air, humidity) in enumerate(self.sensing.rooms):
            cooling.humidity(i, air.value(now), humidity.value(now), now)
        if self.sensing.outdoor is not None:
            self.readings.air_c = self.sensing.outdoor.value(now)
            cooling.propose(self.readings, now)
            self._propose_dp(cooling)
        else:
            cooling.wanted_c = self.agent.config.supply.setpoint
        cooling.aim(now, dt)
        dew = cooling.dew
        if dew is not None:
            if dew.believed < len(self.sensing.rooms):
                text = "%d of %d humidity sensors are believed" % (
                    dew.believed,
                    len(self.sensing.rooms),
                )
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
        return wrong + self.hand.causes(now)

    def order(self, name: str, arguments: "Any", now: int) -> "str | None":
        """Do what `agent.control.manual` knows."""
        return self.hand.order(name, arguments, now)

    def status(self, now: int) -> "object":
        """Show what is held, what is learned, what was proven."""
        cooling, pumping = self.cooling, self.pumping
        shown: list[tuple[str, object]] = [("mode", self.hand.mode)]
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
        shown += self.hand.shown()
        if self.kept.lines:
            shown.append(("kept", self.kept.lines))
        shown += self.hand.calibrated()
        return Object(shown)


def _bit(station: "Station") -> "Any":
    return station.profile.bits[station.profile.bit_index(_REMOTE)]
