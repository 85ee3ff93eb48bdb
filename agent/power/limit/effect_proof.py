# SPDX-License-Identifier: Apache-2.0
"""Proof of effect: the power of a load shows whether a limit, or its switch-off, is in force.

Does not trust a confirmation. Does not choose limits; see `agent.power.component`.

    limit   A load that draws more than its limit + 5 %, `_PROOF_US` after the limit must act, is
            `ineffective`. A slow service acts when it confirms. A load with a service that has not
            confirmed the limit after `_ANSWER_US` is ineffective too. The other loads then get
            less. If an order of the protection or a loss of heat rejection is active, the load is
            switched off (`agent.power.limit.load_shed`).
            The alarm comes earlier, `_RESPONSE_US` after the limit must act, if the power has
            not begun to fall: by less than 1/`_RESPONSE_DIVISOR` of the way to the limit. This
            switches nothing off: a load can begin late. The alarm ends when the load follows a
            limit or has none. A load that is off has shown neither.
    off     A load is off when it draws less than 5 % of its rating. If it draws more after
            `_OFF_US`, or `_DECAY_US` after the effect time of its service, it is forced off
            again, by its service and by its outlets. A load without a measured power is never
            proven off. A load that was switched on again has not shown that it can be switched
            off: the alarm ends when it is off, or when it follows a limit of its service.
    on      A load that was switched on runs when it draws 5 % of its rating. If it draws less after
            `_ON_US`, it is switched on again. So it is after a restart of the controller, because
            the order may not have arrived. The alarm `load_shed` then shows it again.
            A load that draws no power since the start of the controller, without a record that it
            was switched off, is only shown: a person can have switched it off.
"""

from agent.core.alarm_record import NORMAL, AlarmRecord
from agent.power.limit.load_shed import DARK_TEXT
from protocols.time_units import MILLISECOND, NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.context import Context
    from agent.power.limit.load_shed import LoadShedding
    from agent.power.load import Load
    from drivers.redfish.target import RedfishTarget

LIMIT_INEFFECTIVE = AlarmRecord(
    "limit_ineffective", NORMAL, "draws more than its limit:", "load", True
)
SHED_FAILED = AlarmRecord(
    "shed_failed", NORMAL, "was told to go off and still draws power:", "load", True
)

_PROOF_US = 3 * SECOND
_RESPONSE_US, _RESPONSE_DIVISOR = 900 * MILLISECOND, 8
_ANSWER_US = 3500 * MILLISECOND
_OFF_US, _DECAY_US = 4500 * MILLISECOND, 2500 * MILLISECOND
_ON_US = 60 * SECOND
_OFF_DIVISOR = 20
"""A load that draws less than this part of its rating is off."""
_DARK_DIVISOR = 100
"""Less than an idle load draws."""


class EffectProof:
    """Proves the limits and the switch-offs of `loads`."""

    def __init__(self, agent: "Context", loads: "list[Load]", shedding: "LoadShedding") -> None:
        self._agent, self._loads, self._shedding = agent, loads, shedding
        self._failed: list[Load] = []
        self._ignoring: list[Load] = []
        self._last_off: dict[str, int] = {}
        self._started = NEVER

    @property
    def ignores_off(self) -> bool:
        """True while a load draws power after its order to switch off."""
        return True in [not load.is_on for load in self._failed]

    def step(self, now: int) -> bool:
        """Check all loads. Return whether a load became ineffective now."""
        is_worse, alarms = False, self._agent.alarms
        self._started = min(self._started, now)
        for load in self._loads:
            if load.is_on:
                if load.is_starting:
                    self._prove_on(load, now)
                elif load.is_unproven:
                    self._find_dark(load, now)
                if load in self._failed and _has_limit(load) and self._follows_limit(load):
                    self._failed.remove(load)
                was = load.ineffective
                load.set_ineffective(self._exceeds_limit(load, now))
                is_worse = is_worse or (load.ineffective and not was)
            else:
                self._prove_off(load, now)
            self._judge_alarm(load, now)
            load.update_alarm(alarms, LIMIT_INEFFECTIVE, load in self._ignoring, now)
            load.update_alarm(alarms, SHED_FAILED, load in self._failed, now)
        return is_worse

    def _judge_alarm(self, load: "Load", now: int) -> None:
        """Decide whether the load ignores its limit. A load that is off keeps its last result."""
        if not load.is_on:
            self._last_off[load.name] = now
        elif load.ineffective or _ignores_limit(load):
            if load not in self._ignoring:
                self._ignoring.append(load)
        elif load in self._ignoring and self._follows_limit(load):
            self._ignoring.remove(load)

    def _follows_limit(self, load: "Load") -> bool:
        return _follows_limit(load, self._last_off.get(load.name, 0))

    def _exceeds_limit(self, load: "Load", now: int) -> bool:
        target, lowered_at = load.target, load.lowered_at
        if target is None or not _has_limit(load):
            return False
        requested_w = target.requested_w
        if requested_w is None:
            return load.ineffective
        # A limit that falls in steps is sent again and again: the first one must be confirmed.
        waits_from = max(load.unanswered_from, target.answered_at)
        if load.awaits_limit and now - waits_from >= _ANSWER_US:
            return True
        if now - lowered_at < _ANSWER_US:
            return load.ineffective
        # A service that shows another limit confirms again and again.
        confirmed_at = min(max(lowered_at, target.answered_at), lowered_at + _ANSWER_US)
        acts_at = confirmed_at + target.effect_us + _PROOF_US
        drawn_w = load.drawn_w(acts_at)
        if drawn_w is None or now < acts_at:
            return load.ineffective
        return _exceeds(drawn_w, load, target)

    def _prove_on(self, load: "Load", now: int) -> None:
        target, drawn_w = load.target, load.drawn_w(load.shed_at)
        if drawn_w is not None and drawn_w * _OFF_DIVISOR >= load.max_w:
            self._shedding.confirm_on(load, now)
        elif now - load.shed_at < _ON_US:
            return
        elif drawn_w is not None or load.is_resumed:
            self._shedding.start_again(load, drawn_w is not None, now)
        elif target is None or target.read_at > load.shed_at:
            self._shedding.confirm_on(load, now)  # its power is not measured

    def _find_dark(self, load: "Load", now: int) -> None:
        """Show a load that is off, when no record says that this unit has switched it off."""
        drawn_w = load.drawn_w(0)
        if drawn_w is None or not load.can_switch:
            return
        if drawn_w * _DARK_DIVISOR >= load.max_w:
            self._shedding.confirm_on(load, now)
        elif now - self._started >= _ON_US:
            self._shedding.show_dark(load, DARK_TEXT, now)

    def _prove_off(self, load: "Load", now: int) -> None:
        if load.is_resumed:
            self._shedding.show_off(load, now)
        drawn_w = load.drawn_w(load.shed_at)
        if drawn_w is not None and drawn_w * _OFF_DIVISOR < load.max_w:
            if not load.is_proven_off:
                load.set_proven_off(True)
                self._shedding.confirm_off(load)
            if load in self._failed:
                self._failed.remove(load)
            return
        load.set_proven_off(load.is_proven_off and drawn_w is None)
        effect_us = 0 if load.target is None else load.target.effect_us
        if now - load.shed_at < max(_OFF_US, effect_us + _DECAY_US) or load.is_proven_off:
            return
        is_checked = drawn_w is not None or load.target is not None
        if is_checked and load not in self._failed:
            self._failed.append(load)
        if is_checked or load.is_resumed:
            self._shedding.force_off(load, now)


def _ignores_limit(load: "Load") -> bool:
    """Return whether a confirmed limit shows no effect yet, before the proof time ends."""
    target, before_w = load.target, load.before_w
    if target is None or before_w is None or target.requested_w is None or target.deferred:
        return False
    if target.answered_at < load.lowered_at:
        return False
    acts_at = target.answered_at + target.effect_us
    drawn_w = load.drawn_w(acts_at + _RESPONSE_US)
    if drawn_w is None or load.drawn_w(acts_at + _PROOF_US) is not None:
        return False
    limit_w = max(load.limit_w, target.target_w or 0)
    return (
        _exceeds(drawn_w, load, target)
        and (before_w - drawn_w) * _RESPONSE_DIVISOR < before_w - limit_w
    )


def _has_limit(load: "Load") -> bool:
    target = load.target
    return target is not None and load.limit_w < load.max_w and not target.deferred


def _follows_limit(load: "Load", last_off: int) -> bool:
    """Return whether the power since `last_off` shows that a load follows its limit, if any."""
    target = load.target
    if target is None or not _has_limit(load):
        return True
    drawn_w = load.drawn_w(max(load.lowered_at, last_off) + target.effect_us + _PROOF_US)
    return drawn_w is not None and not _exceeds(drawn_w, load, target)


def _exceeds(drawn_w: int, load: "Load", target: "RedfishTarget") -> bool:
    return 20 * drawn_w > 21 * max(load.limit_w, target.target_w or 0)
