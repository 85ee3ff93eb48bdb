# SPDX-License-Identifier: Apache-2.0
"""Signed messages for a unit, made from the report of the unit."""

from dataclasses import dataclass
from typing import Any

from agent.remote.message import command, patch
from agent.remote.message.counter import epoch_of, first_of, seconds_of
from agent.remote.message.header import EPOCH_S, MAX_AHEAD_S
from agent.remote.message.verifier import ANY_BASE
from deploy.errors import OpsError
from deploy.ops.change_parser import Change
from deploy.ops.keys import Key
from deploy.ops.ledger import Ledger
from deploy.ops.report.unit_report import UnitReport
from protocols.signed_message import (
    COMMAND,
    PATCH,
    SignedMessage,
    build_signing_input,
    pack,
)

EPOCH_COMMAND = "epoch"
"""The command that starts the counters of a unit again."""


ACCEPTED_AHEAD_S = 12 * 3600
"""A reported counter without signature may be this far ahead of the clock here, s."""
_SIGNED_AHEAD_S = MAX_AHEAD_S + 600
"""The same for a signed report: what units accept, and ten minutes between two clocks."""


def next_counter(kind: int, bases: list[UnitReport], now_s: int, last: int = 0) -> int:
    """Return the counter of a new message. `last`: the last one of the own ledger.

    Raises `OpsError`: a report has an implausible counter, or the epochs differ.
    """
    epochs = {epoch_of(max(base.counters)) for base in bases}
    if len(epochs) > 1:
        raise OpsError(f"the units have different epochs of counters: {sorted(epochs)}")
    epoch = epochs.pop()
    now = now_s - EPOCH_S
    seconds = now
    for base in bases:
        reported = seconds_of(base.counters[kind - 1])
        if reported > now + _accepted_ahead_s(base):
            raise OpsError(
                f"the report has a counter {(reported - now) // 3600} h ahead of this clock: a "
                "stolen key or certificate, or a wrong clock. Check both; then start the counters "
                "again: `config command SITE/UNIT epoch` with two keys"
            )
        seconds = max(seconds, reported + 1)
    if epoch_of(last) == epoch and seconds_of(last) <= now + _SIGNED_AHEAD_S:
        seconds = max(seconds, seconds_of(last) + 1)
    return first_of(epoch) + seconds


def _accepted_ahead_s(report: UnitReport) -> int:
    """Return how far ahead of the clock the counters of a report may be, s.

    The signature shows that the unit accepted the counter: a tool can always follow. So one stolen
    key cannot take confirmation and rollback from the other operators.
    """
    return _SIGNED_AHEAD_S if report.signed else ACCEPTED_AHEAD_S


def plausible_members(
    units: dict[str, UnitReport], now_s: int
) -> tuple[list[UnitReport], dict[str, str]]:
    """Return the plausible reports of a group, and why the others are not.

    The epoch is that of most members: one unit cannot move the counters of the group.
    """
    epochs = [epoch_of(max(report.counters)) for report in units.values()]
    epoch = max(sorted(set(epochs)), key=epochs.count)
    plausible: list[UnitReport] = []
    refused: dict[str, str] = {}
    for name, report in units.items():
        if epoch_of(max(report.counters)) != epoch:
            refused[name] = f"another epoch of counters than {epoch}"
            continue
        try:
            next_counter(PATCH, [report], now_s)
        except OpsError as error:
            refused[name] = str(error)
        else:
            plausible.append(report)
    if not plausible:
        raise OpsError("; ".join(f"{name}: {reason}" for name, reason in refused.items()))
    return plausible, refused


def sign_message(
    kind: int,
    target: str,
    base: bytes,
    body: bytes,
    keys: list[Key],
    ledger: Ledger | None = None,
) -> bytes:
    """Sign and pack a message, and add it to the ledger."""
    text = build_signing_input(kind, target, base, body)
    message = pack(SignedMessage(kind, body, [(key.number, key.sign(text)) for key in keys]))
    if ledger is not None:
        ledger.add(target, base, message)
    return message


def sign_patch(
    unit: str,
    base: UnitReport,
    changes: list[Change],
    keys: list[Key],
    times: "MessageTimes",
    ledger: Ledger | None = None,
) -> tuple[int, bytes]:
    """Sign a patch for `unit` (SITE/UNIT) on the reported base; return counter and message."""
    last = 0 if ledger is None else ledger.last_counter(unit, PATCH)
    counter_s = EPOCH_S + next_counter(PATCH, [base], times.now_s, last)
    body = patch.encode_patch(
        counter_s,
        base.version,
        times.now_s + times.expires_s,
        times.confirm_s,
        changes,
        times.not_before_s,
    )
    return counter_s - EPOCH_S, sign_message(PATCH, unit, base.config_hash, body, keys, ledger)


def sign_group_patch(
    group: str,
    bases: list[UnitReport],
    changes: list[Change],
    keys: list[Key],
    times: "MessageTimes",
    ledger: Ledger | None = None,
) -> tuple[int, bytes]:
    """Sign one patch for all units of a group, with any base; return counter and message."""
    target = "@" + group
    last = 0 if ledger is None else ledger.last_counter(target, PATCH)
    counter_s = EPOCH_S + next_counter(PATCH, bases, times.now_s, last)
    body = patch.encode_patch(
        counter_s,
        ANY_BASE,
        times.now_s + times.expires_s,
        times.confirm_s,
        changes,
        times.not_before_s,
        group,
    )
    return counter_s - EPOCH_S, sign_message(PATCH, target, b"", body, keys, ledger)


def sign_command(
    unit: str,
    base: UnitReport,
    name: str,
    arguments: list[tuple[str, Any]],
    keys: list[Key],
    times: "MessageTimes",
    ledger: Ledger | None = None,
) -> tuple[int, bytes]:
    """Sign a command for `unit`; return counter and message."""
    if name == EPOCH_COMMAND:
        counter_s = times.now_s + first_of(epoch_of(max(base.counters)) + 1)
    else:
        last = 0 if ledger is None else ledger.last_counter(unit, COMMAND)
        counter_s = EPOCH_S + next_counter(COMMAND, [base], times.now_s, last)
    body = command.encode_command(counter_s, times.now_s + times.expires_s, name, arguments)
    return counter_s - EPOCH_S, sign_message(COMMAND, unit, b"", body, keys, ledger)


EXPIRES_S = 24 * 3600
"""Time limit for the reception of a message, s."""
CONFIRM_S = 12 * 3600
"""Time limit for the confirmation of a trial, s; at most `LONGEST_CONFIRM` of the agent."""


@dataclass(frozen=True)
class MessageTimes:
    """Times of a message, seconds: `now_s`, `not_before_s` since 1970, the others durations."""

    now_s: int
    expires_s: int = EXPIRES_S
    confirm_s: int = CONFIRM_S
    not_before_s: int = 0
