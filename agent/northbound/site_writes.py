# SPDX-License-Identifier: Apache-2.0
"""Limits of the messages that a site key signs: set-points and commands that the section permits.

Does not verify signatures and does not execute; `agent.remote` does both, as for all messages. A
key with the role `site` in `remote.keys` signs nothing without `northbound.writes`. It never counts
as one of the two signatures of the role `limits`.

    set-points   control.supply.setpoint_c and control.dp.setpoint_kpa, within `low` and `high`, at
                 most `step` from the value in force, at most one change in `every_s`
    commands     those of `commands`; `confirm` and `rollback` only for the own change on trial;
                 `override` for at most `override_min`
    rate         `_BURST` messages, then one in `_REFILL_US`: each one is written to the flash and
                 to the audit log. Those that end something have a reserve: `_LEFT`
"""

from agent.remote.message.reject import Rejection
from protocols.rounding import number_text
from protocols.signed_message import COMMAND, PATCH
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.context import Context
    from agent.remote.message.command import SignedCommand
    from agent.remote.message.patch import Patch

SETPOINTS = (
    ("control.supply.setpoint_c", "supply_c"),
    ("control.dp.setpoint_kpa", "dp_kpa"),
)
"""Path of a set-point, and its key in `northbound.writes`."""
COMMANDS = (
    "acknowledge",
    "shelve",
    "unshelve",
    "reset",
    "override",
    "release",
    "rotate",
    "hold",
    "proof",
)
"""Commands that a configuration can permit."""
_OWN_TRIAL = ("confirm", "rollback")
_NANO = 10**9  # values of a patch are integers in 1e-9
_LONGEST_CONFIRM_S = 3600
"""A trial of the site must not keep the changes of operators out for long."""
_BURST, _REFILL_US = 24, 15 * SECOND
"""Messages that a full budget permits, and the time that adds one."""
_LEFT, _OTHERS_LEAVE = {"confirm": 0, "rollback": 0, "release": 2}, 4
"""Messages that must be left after one: acknowledging many alarms keeps no change and no manual
control from being ended."""


class SiteWrites:
    """The limits. `settings`: the section `northbound`. `is_on`: the section permits something."""

    def __init__(self, agent: "Context", settings: "dict[str, Any]") -> None:
        self._agent = agent
        self._limits: dict[str, Any] = settings.get("writes", {})
        self.is_on = "writes" in settings
        self.trial_counter = 0
        self._now = 0
        self.changed_at: int | None = None
        self._budget_us = _BURST * _REFILL_US
        self._budget_at = 0

    def set_time(self, now: int) -> None:
        """Set the time for `every_s`; once in each tick."""
        self._now = now

    def continue_trial(self, counter: int) -> None:
        """Continue the trial of a change of the site after a restart."""
        self.trial_counter = counter

    def check(self, message: "Any") -> None:
        """Raise `Rejection` if the section does not permit the message."""
        if not self.is_on:
            raise Rejection("wrong_role", "northbound.writes is not configured")
        left = _LEFT.get(message.name, _OTHERS_LEAVE) if message.KIND == COMMAND else _OTHERS_LEAVE
        if self._budget(self._now) < (1 + left) * _REFILL_US:
            raise Rejection("busy", "too many messages of the site")
        if message.group:
            raise Rejection("wrong_role", "a site key signs for its unit only")
        if message.KIND == PATCH:
            self._check_patch(message)
        elif message.KIND == COMMAND:
            self._check_command(message)
        else:
            raise Rejection("wrong_role", "a site key signs changes and commands only")

    def _check_patch(self, message: "Patch") -> None:
        from agent.remote.message.parameters import path_of, to_nano  # noqa: PLC0415 - see `agent.remote.module_unload`

        if message.not_before_s:
            raise Rejection("wrong_role", "a site key signs no change for later")
        if message.confirm_s > _LONGEST_CONFIRM_S:
            raise Rejection("out_of_range", "confirm: at most %d s" % _LONGEST_CONFIRM_S)
        if len(message.changes) != 1:
            raise Rejection("wrong_role", "a site key changes one set-point at a time")
        key, value = message.changes[0]
        path = path_of(key)
        names = [name for setpoint, name in SETPOINTS if setpoint == path]
        if not names or names[0] not in self._limits:
            raise Rejection("wrong_role", "northbound.writes does not permit %s" % path)
        if type(value) is not int and not hasattr(value, "mantissa"):
            raise Rejection("out_of_range", "%s: a number is needed" % path)
        self._check_value(names[0], to_nano(value))
        wait_us = self._limits["every_s"] * SECOND
        if self.changed_at is not None and self._now - self.changed_at < wait_us:
            raise Rejection("busy", "one change in %d s" % self._limits["every_s"])

    def _check_value(self, name: str, nano: int) -> None:
        limit, agent = self._limits[name], self._agent
        low, high = _nano(limit["low"]), _nano(limit["high"])
        if not low <= nano <= high:
            texts = name, number_text(limit["low"]), number_text(limit["high"])
            raise Rejection("out_of_range", "%s: %s to %s" % texts)
        loop = agent.supply_loop if name == "supply_c" else agent.pressure_loop
        if abs(nano - _nano(loop.config.setpoint)) > _nano(limit["step"]):
            step = number_text(limit["step"])
            raise Rejection("too_big_step", "%s: at most %s" % (name, step))

    def _check_command(self, message: "SignedCommand") -> None:
        name = message.name
        if name in _OWN_TRIAL:
            if not self.trial_counter or message.arguments.get("counter") != self.trial_counter:
                raise Rejection("wrong_role", "a site key confirms only its own change")
            return
        if name not in self._limits["commands"]:
            raise Rejection("wrong_role", "northbound.writes does not permit " + name)
        if name == "override":
            minutes, limit = message.arguments.get("minutes"), self._limits["override_min"]
            if type(minutes) is not int or not 1 <= minutes <= limit:
                raise Rejection("out_of_range", "minutes: 1 to %d" % limit)

    def _budget(self, now: int) -> int:
        """Return the budget of messages, in µs of refill."""
        return min(_BURST * _REFILL_US, self._budget_us + now - self._budget_at)

    def on_accepted(self, message: "Any", now: int) -> None:
        """Record an accepted message: the next change must wait."""
        self._budget_us = self._budget(now) - _REFILL_US
        self._budget_at = now
        if message.KIND == PATCH:
            self.changed_at = now
            self.trial_counter = message.counter


def _nano(value: float) -> int:
    """Return a number of the configuration in 1e-9; thousandths are exact."""
    return int(value * 1000 + (0.5 if value >= 0 else -0.5)) * (_NANO // 1000)
