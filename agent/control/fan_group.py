"""The fans of the row's cooler, on drives on the bus: who of them runs how fast.

Not the law (that is `agent.control.law.fan`, by `agent.control.law.cooling`): it says one speed for all,
which is written to each drive and read back like anything that is asked of a device. Here is what
may go wrong. A fan that is lost or has tripped leaves its air to the others at once; the valve
makes up for the rest, since warmer facility water is all that it sees. The safe side is full speed:
when return or facility water are not known for `_BAD_S`, and while the unit is in its safe state,
whatever the reason. A tripped drive is reset as pumps are.

A drive stops for nothing but its own trip: neither a leak in the row nor a stop button there says
anything about the facility's water.
"""

from agent.control.pump import Pump
from agent.control.reset_drives import Resets
from agent.safety.supervisor import DEGRADED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.agent import Agent
    from agent.control.law.cooling import Cooling, Readings

_BAD_S = 2.5  # seconds end between two steps: see docs/project/decisions.md, thresholds


class Fanning:
    """Turns the drives of `settings` {drives, max_pct, auto_reset} as `cooling` wants them."""

    def __init__(self, agent: "Agent", cooling: "Cooling", settings: "dict[str, Any]") -> None:
        self.agent = agent
        self.cooling = cooling
        self.high: float = settings["max_pct"]
        self.drives = [Pump(agent.fieldbus.station(name)) for name in settings["drives"]]
        self.full = False
        self._blind = False
        self._taken = False
        self._bad_s = 0.0
        self._resets = Resets(self.drives, settings["auto_reset"])

    def step(self, readings: "Readings", now: int, dt: float) -> None:
        """Advance by `dt` seconds and ask the drives for what is needed."""
        cooling = self.cooling
        reset = self._resets.step(now)
        self._blind = readings.return_c is None or readings.facility_c is None
        bad = self._blind or self.agent.supervisor.state == "safe"
        self._bad_s = self._bad_s + dt if bad else 0.0
        self.full = self._bad_s >= _BAD_S
        if not self._taken and not self._take():
            return
        if self.full:
            cooling.take_fans(self.high)
        else:
            cooling.turn_fans(readings, dt)
        self._ask_all(reset)

    def _take(self) -> bool:
        """Go on from what the fans do; wait a little for the first readings."""
        speeds = [speed for speed in [drive.speed() for drive in self.drives] if speed is not None]
        if speeds and not self._blind:
            self.cooling.take_fans(max(speeds))
            self._taken = True
        return self._taken or self.full

    def _ask_all(self, reset: int) -> None:
        """Those that are there share the air; one that is lost hears us, perhaps, or is back."""
        able = [drive for drive in self.drives if drive.available()]
        speed = self.high
        if able:
            speed = self.cooling.fan_pct * len(self.drives) / len(able)
            speed = self.high if speed > self.high else speed
        for i, drive in enumerate(self.drives):
            if i != reset:
                drive.ask(0.0 if drive.tripped() else speed)

    def causes(self) -> "list[tuple[str, int, str]]":
        """Name what is wrong, for the supervisor."""
        wrong = [
            ("fan_trip:" + d.station.name, DEGRADED, "a fan's drive has tripped: " + d.station.name)
            for d in self.drives
            if d.tripped()
        ]
        if self.full and self._blind:
            text = "fans at full speed: return or facility water is not known"
            wrong.append(("fans_blind", DEGRADED, text))
        return wrong
