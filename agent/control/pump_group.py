"""The pumps as a pair: held dP, flow or temperature difference, rotation, take-over, staged starts.

`PressureLoop` with a better law (`agent.control.law.pump_flow`) and with a share for each pump. All pumps
that carry get the loop's speed; one that comes in or goes out gets a share of it, which moves
slowly where it matters (above `_BITE`, where a pump begins to lift its non-return valve), so that
the loop can follow: make before break. A pump goes out only when the one for it is there.

Take-over. When no pump that carried is left, the next one gets its full share at once. To see a
trip early, running drives are asked more often than once a cycle (`glance`).

Grid dip. A tripped drive is reset, at most `auto_reset` times an hour (`agent.control.reset_drives`).
After all pumps were gone, and after a start of the controller that finds them at rest, the first
starts after `stagger_s` and `slot` times `slot_s` (a site's rows then do not start together: each
has its own slot), the others `_APART` after each other.
"""

from agent.control.law.pump_flow import DP, FLOW, FlowLaw
from agent.control.pressure_loop import PressureLoop
from agent.control.reset_drives import Resets
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.control.law.cooling import Readings
    from agent.core.config_records import LoopConfig

_BITE = 8 / 10
_SLOW, _QUICK = 1 / 100, 1 / 20
"""Share a second, above and below `_BITE`."""
_THERE_PCT = 5.0
_APART = 5 * SECOND
_TAKE_OVER = 108 / 100
"""What one pump needs of the speed that two had: 4 to 8 % more on a quadratic system curve."""


class Pumping(PressureLoop):
    """Takes the place of `plain`. `settings`: mode, setpoint_lpm, setpoint_k, rotate_h,
    stagger_s, slot, slot_s, auto_reset. `readings` is filled by its owner.
    """

    def __init__(
        self, plain: PressureLoop, settings: "dict[str, Any]", readings: "Readings"
    ) -> None:
        super().__init__(plain.config, plain.sensor, plain.pumps)
        self.settings = settings
        self.readings = readings
        config = plain.config
        self.law = FlowLaw(config.min_pct, config.max_pct, config.rate_pct_per_s)
        self.law.hold(settings["mode"])
        self.order = list(range(len(self.pumps)))
        self.shares = [0.0] * len(self.pumps)
        self.barred: list[int] = []
        self.rotations = 0
        self._rotate_at: int | None = None
        self._resets = Resets(self.pumps, settings["auto_reset"])
        self._gone = False
        self._wait_us = SECOND * int(settings["stagger_s"])
        self._wait_us += SECOND * int(settings["slot"]) * int(settings["slot_s"])
        self._start_at = 0
        self._next_at = 0
        self._held = self._new = True
        self._resetting = -1

    def retune(self, config: "LoopConfig") -> None:
        """Take another set-point and other limits, without a bump."""
        super().retune(config)
        self.law.tune(config.min_pct, config.max_pct, config.rate_pct_per_s)

    @property
    def mode(self) -> str:
        """What is held: dp, flow or delta_t."""
        return self.law.mode

    def hold(self, mode: str) -> None:
        """Hold something else. The other controls of the pumps are off by that, as Redfish has it:
        one actuator has one control.
        """
        self.law.hold(mode)

    def rotate(self) -> str:
        """Make the next available pump the lead. Says what was done."""
        able = [i for i in self.order[1:] if self._able(i)]
        if not able:
            return ""
        self.order.remove(able[0])
        self.order = [able[0]] + self.order
        self.rotations += 1
        return self.pumps[able[0]].station.name

    def glance(self) -> None:
        """Ask the drives that run for their state, between cycles."""
        for pump, share in zip(self.pumps, self.shares):
            station = pump.station
            if share > 0 and not station.lost and station.settled():
                station.ask()

    def broken(self) -> bool:
        """Say whether a pump that carries has tripped since the last step."""
        return True in [share > 0 and p.tripped() for p, share in zip(self.pumps, self.shares)]

    def take_over(self, now: int) -> None:
        """Act on a trip between two cycles."""
        if not self._held and self.law.output > 0:
            self._share_out(now, 0.0)
            self._ask_all(self.law.output)

    def step(self, now: int, dt: float) -> None:
        """Advance by `dt` seconds and ask the pumps for what is needed."""
        self._resetting = self._resets.step(now)
        measured = self._measured(now)
        if measured is None or self.forced is not None:
            self._held = True
            super().step(now, dt)
            self.shares = [1.0 if p.running else 0.0 for p in self.pumps]
            return
        if self._held:
            self._take_hold(now)
        self._turn(now)
        self._share_out(now, dt)
        if self._gone:
            self.law.track(self.config.safe_pct)
            self._wait()
            return
        speed = self.law.step(self._wanted(), measured, dt)
        self._stage(speed, now)
        self._ask_all(speed)

    def waits(self, now: int) -> bool:
        """Say whether pumps stand though they could run, until it is their turn."""
        return self._gone and not self._held and now < self._start_at

    def _wait(self) -> None:
        """All were gone: who is back stands until its time has come, unless it turns."""
        if not self._wait_us:  # whoever hears us, though we do not hear it, runs
            self._ask_all(self.config.safe_pct)
            return
        for i, pump in enumerate(self.pumps):
            if self._able(i) and i != self._resetting:
                if (pump.speed() or 0.0) > 0:
                    self.shares[i] = 1.0
                    self._gone = False
                else:
                    pump.ask(0.0)

    def _take_hold(self, now: int) -> None:
        """Go on from what the pumps do."""
        self._held = self.safe = False
        speeds = [pump.speed() or 0.0 for pump in self.pumps]
        top = max(speeds)
        self.shares = [1.0 if s > 0 else 0.0 for s in speeds]
        self.helping = sum(self.shares) > 1
        turning = [i for i in self.order if speeds[i] > 0]
        self.order = turning + [i for i in self.order if speeds[i] <= 0]
        self._gone = not turning
        self._start_at = now + self._wait_us if self._new else now
        self._new = False
        self.law.track(top if top > 0 else self.config.safe_pct)

    def _measured(self, now: int) -> "float | None":
        kpa = self.sensor.value(now)
        if self.mode == DP or kpa is None:
            return kpa
        seen = self.readings
        if self.mode == FLOW:
            return kpa if seen.flow_lpm is None else seen.flow_lpm
        if seen.return_c is None or seen.supply_c is None:
            return None
        return seen.return_c - seen.supply_c

    def _wanted(self) -> float:
        if self.mode == DP:
            return self.setpoint
        wanted: float = self.settings["setpoint_lpm" if self.mode == FLOW else "setpoint_k"]
        return wanted

    def _able(self, i: int) -> bool:
        return self.pumps[i].available() and i not in self.barred

    def _turn(self, now: int) -> None:
        """Rotate by the hours, while nothing else is the matter."""
        hours = self.settings["rotate_h"]
        if hours <= 0 or len(self.pumps) < 2:
            return
        if self._rotate_at is None:
            self._rotate_at = now + int(hours * 3600) * SECOND
        elif now >= self._rotate_at and not self.helping:
            self._rotate_at = now + int(hours * 3600) * SECOND
            self.rotate()

    def _share_out(self, now: int, dt: float) -> None:
        """Move each pump's share to where it belongs."""
        able = [i for i in self.order if self._able(i)]
        chosen = able[: 2 if self.helping else 1]
        carrying = [i for i in able if self.shares[i] > _BITE and self._turns(i)]
        for i in self.order:
            if i not in able:
                self.shares[i] = 0.0
        if not carrying and not self._starting(able):
            self._start(chosen, now)
            return
        there = True
        for i in chosen:
            if self.shares[i] <= 0 and now < self._next_at:
                there = False  # another pump has just begun to start
            elif self.shares[i] < 1.0:
                self.shares[i] = _moved(self.shares[i], dt)
            there = there and self.shares[i] >= 1.0 and self._turns(i)
        for i in able:
            if i not in chosen and self.shares[i] > 0 and there:
                self.shares[i] = _moved(self.shares[i], -dt)

    def _turns(self, i: int) -> bool:
        speed = self.pumps[i].speed()
        return speed is not None and speed > self.law.output * self.shares[i] - _THERE_PCT

    def _starting(self, able: "list[int]") -> bool:
        """Whether a pump is on its way up at full share already."""
        return True in [self.shares[i] >= 1.0 for i in able]

    def _start(self, chosen: "list[int]", now: int) -> None:
        """Nothing carries: the chosen start at full share, staged after all were gone."""
        if not chosen:
            self._gone = True
            self._start_at = now + self._wait_us
            return
        if now < self._start_at:
            return
        self._gone = False
        for i in chosen[:1]:
            self.shares[i] = 1.0
        self._next_at = now + _APART
        self.law.track(self.law.output if self.law.output > 0 else self.config.safe_pct)

    def _ask_all(self, speed: float) -> None:
        """Give each pump its share of `speed`; when none is available all are asked."""
        able = [i for i in self.order if self._able(i)]
        for i, pump in enumerate(self.pumps):
            if i == self._resetting:
                continue
            if not able:
                pump.ask(speed)
            elif self.shares[i] > 0 and i in able:
                part = speed * self.shares[i]
                pump.ask(part if part > self.config.min_pct else self.config.min_pct)
            else:
                pump.ask(0.0)


def _moved(share: float, dt: float) -> float:
    """A share after `dt` seconds of coming in (negative: of going out)."""
    rate = _SLOW if share >= _BITE else _QUICK
    share += rate * dt
    return 1.0 if share > 1.0 else 0.0 if share < 0.4 and dt < 0 else max(share, 0.4)
