# SPDX-License-Identifier: Apache-2.0
"""Messages of the site: limits, numbers, times, signature, and the answer in the report.

Does not decide which request is sent, and does not keep counters; see
`deploy.northbound.access.writes`.
"""

import json
import socket
from typing import Any

from agent.remote.message.canonical import decimal
from agent.remote.message.counter import seconds_of
from agent.remote.message.header import EPOCH_S
from agent.remote.message.parameters import number_of
from agent.remote.message.reject import REJECT_REASONS
from deploy.northbound.access.types import Outcome, Refusal, SetPointChange, UnitCommand
from deploy.northbound.points.point_table import point_table
from deploy.northbound.snapshot import SetPoint, Snapshot
from deploy.ops import keys, messages
from deploy.ops.report.unit_report import UnitReport, parse_report
from protocols.signed_message import COMMAND

_COMMAND_EXPIRES_S = 120
_CHANGE_EXPIRES_S = 3600
_UNDATED_EXPIRES_S = 30 * 86_400
"""Without UTC the unit counts the time since its last message; the counter prevents a replay."""


def setpoint_refusal(change: SetPointChange, setpoint: SetPoint | None) -> Refusal | None:
    """Return why the limits of the site do not permit a change; None: they do."""
    if setpoint is None or not setpoint.writable or setpoint.configured is None:
        return Refusal(f"northbound.writes does not permit {change.key}")
    row = point_table()[change.key]
    if not setpoint.low <= change.raw <= setpoint.high:
        low, high = row.value(setpoint.low), row.value(setpoint.high)
        return Refusal(f"out of range: {low:g} to {high:g} {row.unit}")
    if abs(change.raw - setpoint.configured) > setpoint.step:
        return Refusal(f"too big a step: at most {row.value(setpoint.step):g} {row.unit}")
    return None


def sign_request(
    unit: str,
    key: keys.Key | None,
    request: SetPointChange | UnitCommand,
    snapshot: Snapshot,
    last: int,
    confirm_s: int,
) -> tuple[int, bytes]:
    """Return counter and message of a request for the present state of the unit.

    `unit`: SITE/UNIT. `last`: the last counter of another process. `confirm_s`: time to confirm.
    Raises `OpsError`: the record has no `remote`.
    """
    report = _report_of(snapshot)
    times = _message_times(request, snapshot, report, last, confirm_s)
    signers = [key] if key is not None else []
    if isinstance(request, UnitCommand):
        pairs = list(request.arguments.items())
        return messages.sign_command(unit, report, request.name, pairs, signers, times)
    path = snapshot.setpoints[request.key].path
    number = number_of(path)
    change = (path if number is None else number, _number_of_raw(request.raw))
    return messages.sign_patch(unit, report, [change], signers, times)


def send_datagram(path: str, data: bytes) -> Refusal | None:
    """Send a message to the socket of the agent. A refusal: nothing was sent."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto(data, path)
    except OSError as error:
        return Refusal(f"the agent cannot be reached: {error}", 5)
    return None


def _number_of_raw(raw: int) -> Any:
    """Return thousandths as a number of a message in lowest terms."""
    return raw // 1000 if raw % 1000 == 0 else decimal(raw, 3)


def _report_of(snapshot: Snapshot) -> UnitReport:
    """Return the report of the unit from the record. Raises `OpsError`: there is no `remote`."""
    return parse_report(json.dumps(snapshot.details.get("remote")).encode())


def _message_times(
    request: SetPointChange | UnitCommand,
    snapshot: Snapshot,
    report: UnitReport,
    last: int,
    confirm_s: int,
) -> messages.MessageTimes:
    """Return the times of a message by the clock of the unit.

    While the unit does not know UTC, the time is that of its last accepted message.
    """
    if snapshot.utc is None:
        now_s = EPOCH_S + max(last, *(seconds_of(counter) for counter in report.counters)) + 1
        return messages.MessageTimes(now_s, _UNDATED_EXPIRES_S, confirm_s)
    now_s = int(snapshot.utc.timestamp())
    if last < now_s - EPOCH_S + messages.ACCEPTED_AHEAD_S:
        now_s = max(now_s, EPOCH_S + last + 1)
    is_command = isinstance(request, UnitCommand)
    return messages.MessageTimes(
        now_s, _COMMAND_EXPIRES_S if is_command else _CHANGE_EXPIRES_S, confirm_s
    )


def outcome_of(kind: int, counter: int, remote: dict[str, Any]) -> Outcome | None:
    """Return the state of a message in the report; None: the report does not have it."""
    for refused in remote.get("refusals") or []:
        if list(refused[:2]) == [kind, counter]:
            return Outcome("refused", ": ".join(str(text) for text in refused[2:] if text))
    if kind == COMMAND:
        start = f"{counter} "
        for line in remote.get("results") or []:
            if str(line).startswith(start):
                return _command_outcome(str(line).partition(": ")[2])
        return None
    if remote.get("trial") == counter:
        return Outcome("trial", str(remote.get("phase") or ""))
    last = list(remote.get("last") or [0, "", ""])
    if last[0] == counter:
        states = {"confirmed": "confirmed", "rolled_back": "rolled_back"}
        return Outcome(states.get(str(last[1]), "refused"), str(last[2]))
    return None


def _command_outcome(text: str) -> Outcome:
    is_refused = text.partition(":")[0] in REJECT_REASONS
    return Outcome("refused" if is_refused else "confirmed", text)
