# SPDX-License-Identifier: Apache-2.0
"""What the runtime does for the supervisor of a board: the watchdog, and the report of a calm run.

Does not start the watchdog; the supervisor does (deploy/firmware/supervisor).
"""

from agent.runtime.boot_loop import CALM_US

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.runtime.boot_loop import BootLoop


class BoardWatch:
    """Services the watchdog of a board in each control cycle, and reports a calm run.

    The agent runs without it; a start-up code without `feed` or `mark_calm` gets no calls.
    """

    def __init__(self, flash: object, agent: object, boot_loop: "BootLoop") -> None:
        self._feed = getattr(flash, "feed", None)
        self._mark_calm = getattr(flash, "mark_calm", None)
        self._agent = agent
        self._boot_loop = boot_loop
        self._last_step: object = -1
        self._began: int | None = None

    def check(self, now: int) -> bool:
        """Do what is due at `now`; called often while the agent runs. Returns False."""
        step = getattr(self._agent, "watched_step", None)
        if self._feed is not None and step != self._last_step:
            self._last_step = step
            self._feed()
        if self._began is None:
            self._began = now
        if self._mark_calm is not None and now - self._began >= CALM_US:
            self._mark_calm()
            self._mark_calm = None
        return self._boot_loop.check(now)
