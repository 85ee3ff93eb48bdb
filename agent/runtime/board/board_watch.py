# SPDX-License-Identifier: Apache-2.0
"""What the runtime does for a board: watchdog, report of a calm run, LED with the unit state.

Does not start the watchdog and does not light the LED before the agent runs; the supervisor does
(deploy/firmware/supervisor).

The LED shows the unit state by short flashes and a pause: one is normal, two degraded, three safe,
four stopped.

The parser of addresses leaves the memory when all ports are open, 3 KiB. A port that opens again
keeps its parsed address; another address loads the parser again.
"""

from agent.core.module_unload import forget_modules
from agent.runtime.boot_loop import CALM_US
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from agent.runtime.boot_loop import BootLoop

_CALL_US = 35 * MILLISECOND
"""Time of the calls that record the end of a start, without the steps of the flash."""
_LED_STEP_US = 200 * MILLISECOND
"""Length of a flash, and of the dark time after it."""
_LED_STEPS = 12
_PORTS_OPEN_US = 5 * SECOND
"""All ports have opened by then, one in each step of the loop."""
_ADDRESS_PARSER = ("drivers.ports.address_text",)
_FLASHES = {"normal": 1, "degraded": 2, "safe": 3, "stopped": 4}


class BoardWatch:
    """Services the watchdog of a board in each control cycle, and reports a calm run.

    The agent runs without it; a start-up code without `feed`, `mark_calm` or `set_led` gets no
    calls. `gap(need)`: whether the flash can be used for `need` us now.
    """

    def __init__(
        self,
        flash: object,
        agent: object,
        boot_loop: "BootLoop",
        gap: "Callable[[int], bool] | None" = None,
    ) -> None:
        self._feed = getattr(flash, "feed", None)
        self._mark_calm = getattr(flash, "mark_calm", None)
        self._set_led = getattr(flash, "set_led", None)
        self._journal = None if gap is None else getattr(flash, "journal", None)
        self._gap = gap
        self._is_lit: object = None
        self._agent = agent
        self._boot_loop = boot_loop
        self._last_step: object = -1
        self._began: int | None = None
        self._has_parser = True

    def check(self, now: int) -> bool:
        """Do what is due at `now`; called often while the agent runs. Returns False."""
        step = getattr(self._agent, "watched_step", None)
        if self._feed is not None and step != self._last_step:
            self._last_step = step
            self._feed()
        if self._set_led is not None:
            self._show_state(now)
        if self._began is None:
            self._began = now
        if self._has_parser and now - self._began >= _PORTS_OPEN_US:
            forget_modules(_ADDRESS_PARSER)
            self._has_parser = False
        if self._journal is not None and self._gap is not None:
            self._record_calm(now, self._journal, self._gap)
            return False
        if self._mark_calm is not None and now - self._began >= CALM_US:
            self._mark_calm()
            self._mark_calm = None
        return self._boot_loop.check(now)

    def _record_calm(self, now: int, journal: "Any", gap: "Callable[[int], bool]") -> None:
        """Record a calm run. The flash does each step between two ticks."""
        if self._began is not None and now - self._began < CALM_US:
            return
        if self._mark_calm is not None:
            if not gap(_CALL_US):
                return
            journal.record()
            try:
                self._mark_calm()
                self._boot_loop.check(now)
            finally:
                journal.stop()
            self._mark_calm = None
        need = journal.need()
        if not need:
            self._journal = None
        elif gap(need):
            journal.step()

    def _show_state(self, now: int) -> None:
        """Switch the LED."""
        step = now // _LED_STEP_US % _LED_STEPS
        supervisor = getattr(self._agent, "supervisor", None)
        flashes = _FLASHES.get(getattr(supervisor, "state", ""), 0)
        is_lit = step % 2 == 0 and step < 2 * flashes
        if is_lit != self._is_lit:
            self._is_lit = is_lit
            self._set_led(is_lit)  # type: ignore[misc]
