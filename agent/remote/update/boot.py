"""Which configuration a start runs: the site's file, the confirmed one, or the one on trial.

Called by a shell before the agent is built, with the parsed file and a way to read the store. A
configuration on trial is started at most `_MOST_STARTS` times: one that brings the controller down
is rolled back by the starts it causes, without UTC, link or clock.
"""

from agent.core.errors import ConfigError, Decommissioned
from agent.remote.message import canonical
from agent.remote.storage import audit, config_slots
from agent.remote.storage.boot_state import Boot
from protocols.errors import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from agent.core.config_records import Config
    from agent.remote.storage.config_slots import Read, Slots

_MOST_STARTS = 3
ENDED = "config.ended"
"""The record that a decommissioned unit leaves; see `agent.remote.decommission`."""
CRASHED, DAMAGED, UNUSABLE = "crashed", "damaged", "unusable"


def _roll_back(boot: Boot, reason: str, file: "dict[str, Any]", read: "Read") -> Boot:
    """Give the start without what is on trial."""
    write = boot.slots.roll_back(reason)
    before = _confirmed(file, boot.slots, read)
    before.writes = boot.writes + [write]
    return before


def choose(file: "dict[str, Any]", read: "Read") -> Boot:
    """Choose what to run, given the site's own configuration and the store."""
    origin = canonical.digest(canonical.write(file))
    record = config_slots.load(origin, read)
    if record.trial is None:
        return _confirmed(file, record, read)
    trial = record.trial
    config = config_slots.config_in(trial.slot, read)
    raw = None if config is None else _read(config)
    fresh = Boot(canonical.write(file), record)
    if config is None or raw is None:
        return _roll_back(fresh, DAMAGED, file, read)
    if trial.starts >= _MOST_STARTS:
        return _roll_back(fresh, CRASHED, file, read)
    trial.starts += 1
    boot = Boot(config, record)
    boot.writes = [record.record()]
    return boot


def start(
    file: "dict[str, Any]", read: "Read", check: "Callable[[dict[str, Any]], Config]"
) -> "tuple[Config, Boot]":
    """Choose what to run and compile it, falling back to what was before.

    Raises `ConfigError` when the site's own file is not good either, and `Decommissioned` when
    operators have ended this unit (see `agent.remote.decommission`).
    """
    if read(ENDED) is not None:
        raise Decommissioned("decommissioned by operators")
    boot = choose(file, read)
    log = audit.recovered(read)
    while True:
        boot.check, boot.audit = check, log
        _take_releases(boot, read)
        try:
            return check(boot.raw()), boot
        except ConfigError:
            if boot.slots.trial is not None:
                boot = _roll_back(boot, UNUSABLE, file, read)
            elif boot.slots.slot != config_slots.FILE:
                boot = _file(file, boot.slots)
            else:
                raise


def _take_releases(boot: Boot, read: "Read") -> None:
    """Read what there is of application updates; most units have none, and no code for it."""
    if read("update.record") is not None:
        from agent.remote.storage import software_slots  # noqa: PLC0415

        boot.releases, boot.pieces = software_slots.load(read), software_slots.have(read)


def rescue(read: "Read", check: "Callable[[dict[str, Any]], Config]") -> "tuple[Config, Boot]":
    """Run the confirmed configuration although the site's own file is not good.

    Raises `ConfigError` when there is none, or it is not good either.
    """
    record = config_slots.load(None, read)
    config = config_slots.config_in(record.slot, read)
    raw = None if config is None else _read(config)
    if config is None or raw is None:
        raise ConfigError("the store holds no confirmed configuration")
    record.trial = None
    boot = Boot(config, record)
    boot.check, boot.audit = check, audit.recovered(read)
    return check(raw), boot


def _confirmed(file: "dict[str, Any]", record: "Slots", read: "Read") -> Boot:
    if record.slot == config_slots.FILE:
        return Boot(canonical.write(file), record)
    config = config_slots.config_in(record.slot, read)
    raw = None if config is None else _read(config)
    if config is None or raw is None:
        return _file(file, record)
    return Boot(config, record)


def _file(file: "dict[str, Any]", record: "Slots") -> Boot:
    """Fall back to the site's own file: another base than any message was made for."""
    record.slot = config_slots.FILE
    record.version += 1
    boot = Boot(canonical.write(file), record)
    boot.writes = [record.record()]
    return boot


def _read(config: bytes) -> "dict[str, Any] | None":
    try:
        return canonical.read(config)
    except DecodeError:
        return None
