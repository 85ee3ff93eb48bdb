# SPDX-License-Identifier: Apache-2.0
"""A patch: changed parameters, their base, and the times for the change.

Does not verify signatures (see `agent.remote.message.verifier`) and does not run the trial (see
`agent.remote.update.trial`).

Body, CBOR: [counter, base version, expiry, not before, confirm minutes, changes, group?]

    counter         seconds since 2026-01-01 at signing: it grows by itself, for each signer
    base version    of the confirmed configuration; its hash is signed too, but not sent
    expiry          hours since 2026-01-01; not before: minutes since then, or null
    confirm         minutes for the confirmation, at least twice the longest gap of the link
    changes         map of parameter numbers or paths to values; null removes a key
    group           present if the target is a group of units

Numbers are integers or decimal fractions.
"""

from agent.core.tunable import LIMITS
from agent.remote.message.canonical import decimal_text, encode_config, to_cbor, to_json
from agent.remote.message.header import (
    EPOCH_S,
    HOUR_S,
    LONGEST_CONFIRM,
    MINUTE_S,
    check_count,
    check_counter,
)
from agent.remote.message.parameters import is_live, is_tuning, path_of, role_of
from agent.remote.message.reject import Rejection
from agent.remote.message.steps import check_steps
from protocols.cbor import Decimal, Map, decode, encode
from protocols.errors import DecodeError, EncodeError
from protocols.signed_message import PATCH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.remote.message.steps import DayView

MAX_CHANGES = 64
_MAX_DEPTH = 6
_TUNING_SOAK = 3
"""A loop that oscillates slowly shows it late."""


class Patch:
    """A decoded patch with plausible fields. Its signatures are not verified yet."""

    needs_base = True
    KIND = PATCH

    def __init__(self, parts: "list[Any]") -> None:
        self.counter: int = parts[0]
        self.base_version: int = parts[1]
        self.expires_s: int = EPOCH_S + HOUR_S * parts[2]
        self.not_before_s: int = 0 if parts[3] is None else EPOCH_S + MINUTE_S * parts[3]
        self.confirm_s: int = MINUTE_S * parts[4]
        self.changes: list[tuple[Any, Any]] = parts[5].pairs
        self.group: str = parts[6] if len(parts) > 6 else ""
        self.moves: list[tuple[int, int, int]] = []

    def required_role(self) -> int:
        """Return the role of all keys; `LIMITS`, with a second signature, if they differ."""
        roles = [role_of(key) for key, _ in self.changes]
        return roles[0] if roles.count(roles[0]) == len(roles) else LIMITS

    def applies_live(self) -> bool:
        """Return whether the running agent applies it without a restart."""
        return all(value is not None and is_live(key) for key, value in self.changes)

    def soak_factor(self) -> int:
        """Return the length of the health window as a multiple of `remote.health_s`."""
        tuning = [1 for key, _ in self.changes if is_tuning(key)]
        return _TUNING_SOAK if tuning else 1

    def apply_to(
        self, before: "dict[str, Any]", day: "DayView | None" = None, has_quorum: bool = False
    ) -> "dict[str, Any]":
        """Return `before` with the changes; set `moves`. Raises `Rejection`.

        `day`, `has_quorum`: see `agent.remote.message.steps`.
        """
        raw = apply_changes(before, self.changes)
        _check_store(before, raw)
        self.moves = check_steps(before, raw, day, has_quorum)
        return raw

    def describe(self) -> str:
        """Return the changed keys, with the values of numbers. A text could be a secret."""
        texts = []
        for key, value in self.changes:
            is_number = isinstance(value, Decimal) or type(value) is int
            value_text = "=" + decimal_text(value) if is_number else ""
            texts.append((path_of(key) or str(key)) + value_text)
        return "patch " + " ".join(texts)


def decode_patch(body: bytes) -> Patch:
    """Decode the body of a patch. Raises `Rejection` (malformed)."""
    try:
        parts = decode(body)
    except DecodeError as error:
        raise Rejection("malformed", str(error))
    if type(parts) is not list or len(parts) not in (6, 7):
        raise Rejection("malformed", "a patch has 6 or 7 parts")
    check_counter(parts[0])
    for part in parts[1:3]:
        check_count(part)
    if parts[3] is not None:
        check_count(parts[3])
    check_count(parts[4], LONGEST_CONFIRM)
    if not isinstance(parts[5], Map) or not 1 <= len(parts[5].pairs) <= MAX_CHANGES:
        raise Rejection("malformed", "a patch changes 1 to %d parameters" % MAX_CHANGES)
    for key, _ in parts[5].pairs:
        if type(key) not in (int, str):
            raise Rejection("malformed", "a parameter is named by its number or its path")
    if len(parts) == 7 and (type(parts[6]) is not str or not parts[6]):
        raise Rejection("malformed", "a group is named by a text")
    return Patch(parts)


def encode_patch(
    counter_s: int,
    base_version: int,
    expires_s: int,
    confirm_s: int,
    changes: "list[tuple[Any, Any]]",
    not_before_s: int = 0,
    group: str = "",
) -> bytes:
    """Encode the body of a patch. Times in s since 1970, rounded to its units (expiry up)."""
    parts = [
        counter_s - EPOCH_S,
        base_version,
        -((EPOCH_S - expires_s) // HOUR_S),
        -((EPOCH_S - not_before_s) // MINUTE_S) if not_before_s else None,
        -(-confirm_s // MINUTE_S),
        Map([(key, to_cbor(value)) for key, value in changes]),
    ]
    return encode(parts + [group] if group else parts)


def apply_changes(raw: "dict[str, Any]", changes: "list[tuple[Any, Any]]") -> "dict[str, Any]":
    """Return `raw` with the changes; `raw` is not modified. Raises `Rejection`.

    `agent.config.load` checks the resulting configuration.
    """
    result = raw
    changed: list[str] = []
    for key, value in changes:
        path = path_of(key)
        if path is None:
            raise Rejection("unknown_key", "no parameter has the number %s" % key)
        keys = path.split(".")
        if len(keys) > _MAX_DEPTH or "" in keys:
            raise Rejection("unknown_key", "%s is no path" % path)
        if [other for other in changed if _overlap(other + ".", path + ".")]:
            raise Rejection("malformed", "%s is changed twice" % path)
        changed.append(path)
        result = _copy_with(result, keys, value, path)
    return result


def encode_changed(raw: "dict[str, Any]") -> bytes:
    """Encode a changed configuration. Raises `Rejection`."""
    try:
        return encode_config(raw)
    except EncodeError as error:
        raise Rejection("out_of_range", str(error))


def _check_store(before: "dict[str, Any]", after: "dict[str, Any]") -> None:
    """Refuse a change of the place of the records: a start could not count and end its trial."""
    old, new = before.get("remote"), after.get("remote")
    if type(old) is dict and (type(new) is not dict or old.get("port") != new.get("port")):
        raise Rejection("out_of_range", "remote.port: only the site file can change it")


def _overlap(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _copy_with(node: "Any", keys: "list[str]", value: "Any", path: str) -> "Any":
    """Copy the containers along the path, because the running configuration must not change."""
    if type(node) is not dict:
        raise Rejection("unknown_key", "%s does not exist" % path)
    copy = dict(node)
    name = keys[0]
    if len(keys) > 1:
        copy[name] = _copy_with(copy.get(name, {}), keys[1:], value, path)
    elif value is None:
        if name not in copy:
            raise Rejection("unknown_key", "%s is not there" % path)
        del copy[name]
    else:
        try:
            copy[name] = to_json(value)
        except DecodeError as error:
            raise Rejection("malformed", str(error))
    return copy
