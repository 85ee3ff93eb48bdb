# SPDX-License-Identifier: Apache-2.0
"""What passes from one controller of a pair to the other; when a swap or a restart is due.

Does not send; see `paired_agent`. The state is that of `agent.retain`: set-points of operators,
latched causes, manual mode with its end, suspect sensors. Positions come from the devices. The last
commands of the actuators go with it: if a device is at its command, the new controller holds this
command until its loop asks for another one, so that no register changes by a count. While a swap
is asked for, its reason goes with the state: only the controller that gives the role up knows it.
Limits of the loads and their schedule go last, as far as there is room: the services of the loads
have their limits too.

A swap is due by time (a proof test of the standby), or when this controller is not fit and the
other one is. At most `MAX_SWAPS` in an hour, so that two half-failed controllers do not alternate.
An active controller gives up the role before it starts its process again, if the other controller
is there: a planned swap is shorter than the silence of a start.
"""

from agent.redundancy.pair_table import NO_COMMAND, SWAP
from protocols.time_units import NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.agent import Agent

MAX_SWAPS = 3
_COMMAND = "command."
_REASON = "swap.reason "
_LIMITS, _PLAN = "limits ", "plan "
_MAX_BYTES = 4096
REASONS = ("command", "health", "time")
"""Why a planned swap happens: by a person, by the fitness, by `rotate_h`."""
_NEAR_PCT = 0.5
_MAX_DIGITS = 9
_HOUR_US = 3600 * SECOND
_UNFIT_US = 10 * SECOND
_RESTART_US = 10 * SECOND
_SWAP_WAIT_US = 10 * SECOND
"""Time in which a swap must begin; then the command is dropped."""
_FRESH_US = SECOND
"""Time from the request for a swap in which its state follows each command of an actuator. A state
of more than ten parts takes longer than a command lasts, so it then keeps the commands it has."""


def _retained(agent: "Agent") -> "Any":
    """Return the component `retain`, or one that only collects and restores."""
    retain = agent.service("retained_state")
    if retain is None:
        from agent.retain.component import Retain  # noqa: PLC0415 - for pairs with a link

        retain = Retain(agent, {}, -1)
    return retain


def command_lines(agent: "Agent") -> "list[str]":
    """Return a line with the last command of each actuator that has one."""
    lines = []
    for number, actuator in enumerate([agent.valve] + list(agent.pumps)):
        percent = None if actuator is None else actuator.command_pct
        if percent is not None:
            lines.append("%s%d %d %d" % (_COMMAND, number, actuator.command_raw, percent * 1000))
    return lines


def read_state(agent: "Agent", commands: "list[str]", reason: str, now: int) -> bytes:
    """Return the state of a running agent for the other controller, with its `command_lines`.

    `reason`: of the swap that is asked for, one of `REASONS`; empty: none is.
    """
    state: bytes = _retained(agent).replica(now)
    lines = commands + ([_REASON + reason] if reason else [])
    state += ("\n" + "\n".join(lines)).encode()
    for line in _limit_lines(agent, now):
        if len(state) + len(line) < _MAX_BYTES:
            state += b"\n" + line.encode()
    return state


def _limit_lines(agent: "Agent", now: int) -> "list[str]":
    """Return the caps, the limits of the loads and the schedule; none if they are not known.

    A controller whose store does not answer has no cap. It must not end one that the other has.
    """
    limiter = agent.service("power_limits")
    if limiter is None or not limiter.knows_caps():
        return []
    try:
        limits = limiter.kept.encode(limiter.cap_w, limiter.cap_pct).decode().split("\n")
        plan = limiter.plan.encode().decode().split("\n")
    except Exception as error:  # noqa: BLE001 - the guard handles it
        agent.guard.handle(limiter, error, now)
        return []
    return [_LIMITS + line for line in limits] + [_PLAN + line for line in plan]


def _take_limits(agent: "Agent", state: bytes, now: int) -> None:
    """Apply the lines of `_limit_lines`. Without any, the own records count."""
    limiter = agent.service("power_limits")
    found: dict[str, list[str]] = {_LIMITS: [], _PLAN: []}
    for line in map(_text, state.split(b"\n")):
        for kind, lines in found.items():
            if line[: len(kind)] == kind:
                lines.append(line[len(kind) :])
    if limiter is None or not found[_LIMITS]:
        return
    try:
        limits, plan = ["\n".join(found[kind]).encode() for kind in (_LIMITS, _PLAN)]
        limiter.take_over(limits, plan, now)
    except Exception as error:  # noqa: BLE001 - the guard handles it
        agent.guard.handle(limiter, error, now)


def reason_of(state: bytes) -> str:
    """Return the reason of the swap in the state of the other controller.

    It is "swap" if the state has none, as that of older software.
    """
    for line in state.split(b"\n"):
        for reason in REASONS:
            if line == (_REASON + reason).encode():
                return reason
    return "swap"


def _text(line: bytes) -> str:
    """Return a line of a state; empty if it is no text."""
    try:
        return line.decode()
    except UnicodeError:
        return ""


def _number(text: str) -> int:
    """Return the number of at most nine digits in `text`; -1: it has none."""
    is_number = text.encode().isdigit() and len(text) <= _MAX_DIGITS
    return int(text) if is_number else -1


def hold_commands(agent: "Agent", state: bytes) -> None:
    """Hold the last commands of the other controller, where the device is at them.

    Call it before the first step of the loops. They then write only what differs by a dead band.
    The other controller can have another configuration or other software: a line that does not fit
    is dropped.
    """
    actuators = [agent.valve] + list(agent.pumps)
    for line in map(_text, state.split(b"\n")):
        name, _, rest = line.partition(" ")
        if name[: len(_COMMAND)] != _COMMAND:
            continue
        numbers = [_number(text) for text in [name[len(_COMMAND) :]] + rest.split(" ")]
        if len(numbers) == 3 and 0 <= numbers[0] < len(actuators) and min(numbers) >= 0:
            actuator = actuators[numbers[0]]
            if actuator is not None:
                _hold(agent, actuator, numbers[1], numbers[2] / 1000)


def _hold(agent: "Agent", actuator: "Any", raw: int, percent: float) -> None:
    position = actuator.position() if actuator is agent.valve else actuator.speed()
    if position is not None and percent > 0 and abs(position - percent) <= _NEAR_PCT:
        actuator.session.withhold_outputs()
        actuator.command_pct, actuator.command_raw = percent, raw
        if actuator is not agent.valve:
            actuator.running = True


def restore_state(agent: "Agent", state: bytes, now: int) -> None:
    """Give the state of the other controller to an agent that has just started."""
    _retained(agent).take_over(state, now)
    _take_limits(agent, state, now)


class SwapRule:
    """When a planned swap is due, and when the other controller needs the state.

    `rotate_us`: 0 for no rotation. `reason`: of the last swap that was asked for, one of `REASONS`.
    `begins`: it is asked for since this step. Times are monotonic µs.
    """

    def __init__(self, rotate_us: int) -> None:
        self._rotate_us = rotate_us
        self._active_since = self._fit_at = NEVER
        self._takeovers: list[int] = []
        self._swaps: list[int] = []
        self._until = self._state_at = self._asked_at = 0
        self._commands: list[str] = []
        self._has_change = False
        self.reason = ""
        self.begins = False

    def begin_active(self, now: int) -> None:
        """This controller became active."""
        self._until = 0
        self._active_since = self._fit_at = now
        self._takeovers = [at for at in self._takeovers if now - at < _HOUR_US][-9:] + [now]

    def is_flapping(self, now: int) -> bool:
        """Return whether it became active more than `MAX_SWAPS` times in the last hour."""
        return len([at for at in self._takeovers if now - at < _HOUR_US]) > MAX_SWAPS

    def step(
        self, command: int, is_restart_asked: bool, is_fit: bool, is_peer_ready: bool, now: int
    ) -> int:
        """Return the command of a person, or `SWAP` when one is due. A restart waits for a swap."""
        reason = "command"
        if command == NO_COMMAND and not is_restart_asked:
            reason = self._due_reason(is_fit, is_peer_ready, now)
            command = SWAP if reason else NO_COMMAND
        elif command == NO_COMMAND and is_peer_ready:
            command = SWAP
        self.begins = False
        if command == SWAP:
            if not self.is_asked(now):
                self.reason, self._asked_at = reason, now
                self.begins = reason != "command" or is_restart_asked
            self._until = now + _SWAP_WAIT_US
        return command

    def _due_reason(self, is_fit: bool, is_peer_ready: bool, now: int) -> str:
        """Return why a swap is due without a command; empty: none is."""
        if is_fit:
            self._fit_at = now
        self._swaps = [at for at in self._swaps if now - at < _HOUR_US]
        if not is_peer_ready or len(self._swaps) >= MAX_SWAPS:
            return ""
        if now - self._fit_at > _UNFIT_US:
            return "health"
        if is_fit and self._rotate_us and now - self._active_since >= self._rotate_us:
            return "time"
        return ""

    def is_asked(self, now: int) -> bool:
        """Return whether a swap is asked for."""
        return now < self._until

    def note_change(self) -> None:
        """An alarm has changed: a cause that latches must not wait for a second."""
        self._has_change = True

    def next_state(self, agent: "Agent", now: int) -> "bytes | None":
        """Return the state for the other controller; None: it is not due."""
        if not self._is_state_due(now):
            return None
        is_asked = self.is_asked(now)
        if not is_asked or now - self._asked_at < _FRESH_US:
            self._commands = command_lines(agent)
        return read_state(agent, self._commands, self.reason if is_asked else "", now)

    def _is_state_due(self, now: int) -> bool:
        """Return whether the state is to be replicated now: each second, and for each swap."""
        is_due = now >= self._state_at or self.is_asked(now)
        if is_due:
            self._state_at = now + SECOND
        has_change, self._has_change = self._has_change, False
        return is_due or has_change

    def count_swap(self, now: int) -> None:
        """A swap begins."""
        self._swaps.append(now)


class RestartRule:
    """The request. `is_asked`: a restart waits for the swap."""

    def __init__(self) -> None:
        self._request = b""
        self._until = 0

    @property
    def is_asked(self) -> bool:
        """Whether a restart waits for the swap."""
        return bool(self._request)

    def take(self, request: bytes, has_peer: bool, now: int) -> bool:
        """Take a request of the agent; False: it is not to wait."""
        if not has_peer:
            return False
        if not self._request:
            self._request, self._until = request, now + _RESTART_US
        return True

    def due(self, has_role: bool, now: int) -> bytes:
        """Return the request when the role is given up, or when that took too long."""
        if has_role and now < self._until:
            return b""
        request, self._request = self._request, b""
        return request
