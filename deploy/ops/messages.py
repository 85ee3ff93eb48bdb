# SPDX-License-Identifier: Apache-2.0
"""Signed messages for a unit, made from the report of the unit."""

import json
from dataclasses import dataclass
from typing import Any

from agent.remote.message import command, patch
from agent.remote.message.header import EPOCH_S
from agent.remote.message.verifier import ANY_BASE
from deploy.errors import OpsError
from deploy.ops.change_parser import Change
from deploy.ops.keys import Key
from protocols.signed_message import COMMAND, PATCH, SignedMessage, build_signing_input, pack


@dataclass(frozen=True)
class UnitReport:
    """Content of the retained topic `cfg/reported` of a unit."""

    version: int
    base_hash: bytes
    counters: tuple[int, ...]
    trial: int | None
    phase: str | None
    last: tuple[int, str, str]
    refusal: tuple[str, str]
    refused: int
    audit: tuple[int, str] = (0, "")
    results: tuple[str, ...] = ()
    update: list[Any] | None = None
    decommissioned: bool = False


def parse_report(payload: bytes) -> UnitReport:
    """Parse a report. Raises `OpsError` for another payload."""
    try:
        raw = json.loads(payload)
        return UnitReport(
            int(raw["version"]),
            bytes.fromhex(raw["hash"]),
            tuple(raw["counters"]),
            raw["trial"],
            raw["phase"],
            (int(raw["last"][0]), str(raw["last"][1]), str(raw["last"][2])),
            (str(raw["refusal"][0]), str(raw["refusal"][1])),
            int(raw["refused"]),
            (int(raw["audit"][0]), str(raw["audit"][1])),
            tuple(str(result) for result in raw["results"]),
            raw["update"],
            bool(raw.get("decommissioned")),
        )
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise OpsError(f"not a report of this version: {error}") from None


def sign_message(kind: int, target: str, base: bytes, body: bytes, keys: list[Key]) -> bytes:
    """Sign and pack a message."""
    text = build_signing_input(kind, target, base, body)
    return pack(SignedMessage(kind, body, [(key.number, key.sign(text)) for key in keys]))


def sign_patch(
    unit: str,
    base: UnitReport,
    changes: list[Change],
    keys: list[Key],
    times: "MessageTimes",
) -> tuple[int, bytes]:
    """Sign a patch for `unit` (SITE/UNIT) on the reported base; return counter and message."""
    counter_s = max(times.now_s, EPOCH_S + base.counters[PATCH - 1] + 1)
    body = patch.encode_patch(
        counter_s,
        base.version,
        times.now_s + times.expires_s,
        times.confirm_s,
        changes,
        times.not_before_s,
    )
    return counter_s - EPOCH_S, sign_message(PATCH, unit, base.base_hash, body, keys)


def sign_group_patch(
    group: str,
    bases: list[UnitReport],
    changes: list[Change],
    keys: list[Key],
    times: "MessageTimes",
) -> tuple[int, bytes]:
    """Sign one patch for all units of a group, with any base; return counter and message."""
    newest = max(base.counters[PATCH - 1] for base in bases)
    counter_s = max(times.now_s, EPOCH_S + newest + 1)
    body = patch.encode_patch(
        counter_s,
        ANY_BASE,
        times.now_s + times.expires_s,
        times.confirm_s,
        changes,
        times.not_before_s,
        group,
    )
    return counter_s - EPOCH_S, sign_message(PATCH, "@" + group, b"", body, keys)


def sign_command(
    unit: str,
    base: UnitReport,
    name: str,
    arguments: list[tuple[str, Any]],
    keys: list[Key],
    times: "MessageTimes",
) -> tuple[int, bytes]:
    """Sign a command for `unit`; return counter and message."""
    counter_s = max(times.now_s, EPOCH_S + base.counters[COMMAND - 1] + 1)
    body = command.encode_command(counter_s, times.now_s + times.expires_s, name, arguments)
    return counter_s - EPOCH_S, sign_message(COMMAND, unit, b"", body, keys)


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
