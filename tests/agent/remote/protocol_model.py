# SPDX-License-Identifier: Apache-2.0
"""Model of the remote protocol, explored exhaustively with the code of the product.

Two operators (keys 1 `operate`, 2 and 3 `limits`), two units of one group, three changes, one
update, a crash, and an attacker. The attacker holds key 1 and the network: it delivers each signed
message to each unit at any time, any number of times, in any order, or never.

The product decides: `MessageVerification.check_age` (counters, epochs, signers, base, expiry),
`Keyring`, `SuspendedKeys`, `ConfigSlots` with its records, `ReleaseRecord`, `next_counter` of the
tools. Signatures themselves are not modelled; see tests/oracle/test_signing.py. The order of
`RemoteManager.act_slices` and of the commands is written here once more, in `_act`.

A unit is a value: its records as bytes, the accepted messages, and its health. So each step is a
function, and its results are kept. No step reads the accepted messages, which differ most: they are
left out of what a result is kept for.
"""

import functools
from typing import NamedTuple

from agent.core.tunable import LIMITS, OPERATE
from agent.remote.message.header import EPOCH_S
from agent.remote.message.keyring import Keyring, has_quorum
from agent.remote.message.reject import Rejection
from agent.remote.message.verifier import MessageVerification, VerifyContext
from agent.remote.storage.config_slots import RECORD, ConfigSlots, load_slots
from agent.remote.storage.software_slots import RECORD_KEY, Release, ReleaseRecord, load_releases
from agent.remote.storage.suspended_keys import SUSPENDED_KEY, SuspendedKeys
from protocols.signed_message import COMMAND, MANIFEST, PATCH

NOW = 30_000_000
"""Seconds since 2026-01-01."""
DAY = 86_400
LAST = (1 << 32) - 1
EPOCH_1 = 1 << 32
ORIGIN = b"o" * 32
GROUP = "gulf"
KEYS = [
    {"number": 1, "public": "11" * 32, "role": "operate"},
    {"number": 2, "public": "22" * 32, "role": "limits"},
    {"number": 3, "public": "33" * 32, "role": "limits"},
]
STOLEN, QUORUM = 1, (2, 3)
MAX_STARTS = 3


class Message(NamedTuple):
    """A signed message to the group, or to `unit`. `about`: the counter that a command names."""

    kind: int
    name: str
    counter: int
    signers: tuple[int, ...]
    unit: int = -1
    about: int = 0


_NONE: frozenset[Message] = frozenset()


class ModelUnit(NamedTuple):
    """A unit: its records, what it accepted, the health of its trial, and its crashes."""

    record: bytes
    releases: bytes = b""
    suspended: bytes = b""
    configs: tuple[tuple[int, str], ...] = ()
    """The name of the configuration in each used slot."""
    accepted: frozenset[Message] = _NONE
    is_healthy: bool = False


class _Body:
    """The body of a message as `check_age` reads it."""

    needs_base = False
    expires_s = EPOCH_S + NOW + DAY

    def __init__(self, message: Message) -> None:
        self.counter = message.counter
        self.group = GROUP if message.unit < 0 else ""
        self._role = LIMITS if message.name in _LIMITS else OPERATE

    def required_role(self) -> int:
        return self._role


_LIMITS = ("keys", "release", "epoch", "suspend")


def new_unit() -> ModelUnit:
    """Return a unit without a record of an operator."""
    return ModelUnit(ConfigSlots(ORIGIN).record_write()[1])


def slots_of(unit: ModelUnit) -> ConfigSlots:
    """Return the slots, to read only."""
    return _read_slots(unit.record)


def releases_of(unit: ModelUnit) -> ReleaseRecord:
    """Return the releases, to read only."""
    return _read_releases(unit.releases)


def _load_slots(record: bytes) -> ConfigSlots:
    return load_slots(ORIGIN, {RECORD: record}.get)


def _load_releases(record: bytes) -> ReleaseRecord:
    return load_releases({RECORD_KEY: record}.get) or ReleaseRecord()


_read_slots = functools.cache(_load_slots)
_read_releases = functools.cache(_load_releases)


def suspended_of(unit: ModelUnit) -> SuspendedKeys:
    keys = SuspendedKeys()
    keys.load({SUSPENDED_KEY: unit.suspended}.get)
    return keys


def is_on_trial(unit: ModelUnit) -> bool:
    return slots_of(unit).trial is not None or releases_of(unit).trial is not None


def trial_counter(unit: ModelUnit) -> int:
    slots, releases = slots_of(unit), releases_of(unit)
    if slots.trial is not None:
        return slots.trial.counter
    return releases.trial.counter if releases.trial is not None else 0


@functools.cache
def _known_to_check(record: bytes, suspended: bytes) -> tuple[VerifyContext, Keyring]:
    """Return what the verification reads of a unit: it is the same for each message."""
    slots = _read_slots(record)
    context = VerifyContext("s/u", [GROUP], slots.version, b"", slots.counters)
    unit = ModelUnit(record, suspended=suspended)
    return context, Keyring(suspended_of(unit).accepted(KEYS))


def check(unit: ModelUnit, message: Message, utc_s: int) -> None:
    """Verify a message with the code of the product. Raises `Rejection`."""
    context, keyring = _known_to_check(unit.record, unit.suspended)
    checked: MessageVerification = object.__new__(MessageVerification)
    checked.kind, checked.signers = message.kind, list(message.signers)
    checked.message = _Body(message)  # type: ignore[assignment]
    checked._base_hash = b""
    checked.is_site = keyring.is_site(checked.signers)
    checked.check_age(keyring, context, utc_s or EPOCH_S, utc_s)


def deliver(unit: ModelUnit, message: Message, utc_s: int) -> ModelUnit:
    """Return the unit after a message; the same unit if it is rejected before it is accepted."""
    after = _deliver(unit._replace(accepted=_NONE), message, utc_s)
    return unit if after is None else after._replace(accepted=unit.accepted | {message})


@functools.cache
def _deliver(unit: ModelUnit, message: Message, utc_s: int) -> ModelUnit | None:
    try:
        check(unit, message, utc_s)
    except Rejection:
        return None
    return _act(unit, message)


def _act(unit: ModelUnit, message: Message) -> ModelUnit:
    slots = _load_slots(unit.record)
    if message.kind == COMMAND:
        unit = unit._replace(record=slots.mark_taken(COMMAND, message.counter)[1])
        return _command(unit, message)
    if is_on_trial(unit):
        if message.kind == PATCH:
            return unit._replace(record=slots.mark_rejected(message.counter, "busy")[1])
        return unit._replace(record=slots.mark_taken(MANIFEST, message.counter)[1])
    if message.kind == PATCH:
        slot = slots.free_slot()
        writes = slots.start_trial(message.counter, 60, [], message.name.encode())
        configs = dict(unit.configs) | {slot: message.name}
        ordered = tuple(sorted(configs.items()))
        return unit._replace(record=writes[-1][1], configs=ordered, is_healthy=False)
    releases = _load_releases(unit.releases)
    record = slots.mark_taken(MANIFEST, message.counter)[1]
    if releases.highest >= 1:
        return unit._replace(record=record)
    parts = [releases.free_slot(), 1, 1, b"", b"", message.counter, 60, [], 512]
    releases.start_fetch(Release(parts))
    found = releases.start_trial([])[-1][1]
    return unit._replace(record=record, releases=found, is_healthy=False)


def _command(unit: ModelUnit, message: Message) -> ModelUnit:
    slots, releases = _load_slots(unit.record), _load_releases(unit.releases)
    if message.name == "suspend":
        keys = suspended_of(unit)
        remaining = [key for key in keys.accepted(KEYS) if key["number"] != message.about]
        if not has_quorum(remaining):
            return unit
        return unit._replace(suspended=keys.set(message.about, True)[1])
    if message.name == "epoch" or message.about != trial_counter(unit) or not message.about:
        return unit
    if message.name == "confirm" and not unit.is_healthy:
        return unit
    confirms = message.name == "confirm"
    if slots.trial is not None:
        write = slots.confirm() if confirms else slots.roll_back("on demand")
        return unit._replace(record=write[1], is_healthy=False)
    writes = releases.confirm() if confirms else releases.roll_back("on demand")
    return unit._replace(releases=writes[-1][1], is_healthy=False)


def end_trial(unit: ModelUnit) -> ModelUnit:
    """Return the unit after a failed check or the end of the time of its trial."""
    return _end_trial(unit._replace(accepted=_NONE))._replace(accepted=unit.accepted)


@functools.cache
def _end_trial(unit: ModelUnit) -> ModelUnit:
    slots, releases = _load_slots(unit.record), _load_releases(unit.releases)
    if slots.trial is not None:
        return unit._replace(record=slots.roll_back("unwell")[1], is_healthy=False)
    if releases.trial is not None:
        return unit._replace(releases=releases.roll_back("unwell")[-1][1], is_healthy=False)
    return unit


def crash(unit: ModelUnit) -> ModelUnit:
    """Return the unit after a restart: its records count the start of a trial."""
    return _crash(unit._replace(accepted=_NONE))._replace(accepted=unit.accepted)


@functools.cache
def _crash(unit: ModelUnit) -> ModelUnit:
    slots, releases = _load_slots(unit.record), _load_releases(unit.releases)
    unit = unit._replace(is_healthy=False)
    if slots.trial is not None:
        if slots.trial.starts >= MAX_STARTS:
            return end_trial(unit)
        return unit._replace(record=slots.count_start()[-1][1])
    if releases.trial is not None:
        if releases.trial.starts >= MAX_STARTS:
            return end_trial(unit)
        releases.trial.starts += 1
        return unit._replace(releases=releases.record_write()[1])
    return unit


def forget() -> None:
    """Forget all results: a test has broken or mended the product."""
    for kept in (_read_slots, _read_releases, _known_to_check, _deliver, _end_trial, _crash):
        kept.cache_clear()
