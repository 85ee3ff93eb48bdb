# SPDX-License-Identifier: Apache-2.0
"""Select the configuration of a start: the site file, the confirmed one, or the one on trial.

Does not run the trial; see `agent.remote.update.trial`.

The runtime calls this before the agent is built, with the parsed file and a function that reads the
store. A configuration on trial is started at most `_MAX_STARTS` times. If it makes the controller
crash, its starts roll it back, without UTC or a link.

The rule of a start, on all platforms:

1. The runtime counts the start, before anything else (`agent.runtime.boot_loop`).
2. More than 5 starts without 10 calm minutes: the trial ends, and only the protection runs.
3. A trial with `_MAX_STARTS` starts ends. Otherwise its start is stored first; if that is
   impossible, the trial ends. The store is that of the site file, which no change can move.
4. The first valid one runs: the trial, the confirmed configuration, the site file.
5. None is valid: the start ends with exit 2.
"""

from agent.core.errors import ConfigError, DecommissionedError
from agent.remote.message import canonical
from agent.remote.storage import audit, config_slots, unit_key
from agent.remote.storage.boot_state import BootState
from agent.remote.storage.day_values import DayValues
from agent.remote.storage.suspended_keys import SuspendedKeys
from drivers.errors import PortError
from protocols.errors import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from agent.core.config_records import Config
    from agent.remote.storage.config_slots import ConfigSlots, Read

    Write = Callable[[str, bytes], None]

_MAX_STARTS = 3
DECOMMISSIONED_KEY = "config.ended"
"""The record of a decommissioned unit; see `agent.remote.decommission`."""
CRASHED, DAMAGED, UNUSABLE, NO_STORE = "crashed", "damaged", "unusable", "store"


def _roll_back(boot: BootState, reason: str, file: "dict[str, Any]", read: "Read") -> BootState:
    """Return the start without the trial."""
    write = boot.slots.roll_back(reason)
    previous = _boot_confirmed(file, boot.slots, read)
    return BootState(previous.config, previous.slots, boot.writes + [write])


def choose_config(
    file: "dict[str, Any]",
    read: "Read",
    confirmed_only: bool = False,
    write: "Write | None" = None,
) -> BootState:
    """Select the configuration from the site file and the store. `confirmed_only`: end a trial.

    `write` replaces a record durably before it returns. None: the agent writes after the start.
    """
    site_file_hash = canonical.hash_config(canonical.encode_config(file))
    record = config_slots.load_slots(site_file_hash, read)
    if record.trial is None:
        return _boot_confirmed(file, record, read)
    trial = record.trial
    config = config_slots.read_config(trial.slot, read)
    raw = None if config is None else _parse_config(config)
    file_boot = BootState(canonical.encode_config(file), record)
    if config is None or raw is None:
        return _roll_back(file_boot, DAMAGED, file, read)
    if trial.starts >= _MAX_STARTS or confirmed_only:
        return _roll_back(file_boot, CRASHED, file, read)
    writes = record.count_start()
    if write is not None and not _stored(writes, write):
        return _roll_back(file_boot, NO_STORE, file, read)
    return BootState(config, record, writes)


def _stored(writes: "list[tuple[str, bytes]]", write: "Write") -> bool:
    """Return whether the start of a trial is stored."""
    try:
        for key, data in config_slots.with_copies(writes):
            write(key, data)
    except (PortError, OSError):
        return False
    return True


def start_config(
    file: "dict[str, Any]",
    read: "Read",
    check: "Callable[[dict[str, Any]], Config]",
    confirmed_only: bool = False,
    write: "Write | None" = None,
) -> "tuple[Config, BootState]":
    """Select and compile the configuration, with a fallback to the previous one.

    Raises `ConfigError` if the site file is invalid too, and `DecommissionedError` if operators
    have decommissioned this unit (see `agent.remote.decommission`).
    """
    if read(DECOMMISSIONED_KEY) is not None:
        raise DecommissionedError("decommissioned by operators")
    boot = choose_config(file, read, confirmed_only, write)
    log = audit.recover(read)
    day, suspended = DayValues(), SuspendedKeys()
    day.load(read)
    suspended.load(read)
    while True:
        boot.set_checker(check, log)
        boot.set_limits(day, suspended)
        _load_unit(boot, read)
        _load_releases(boot, read)
        try:
            return check(boot.parsed_config()), boot
        except ConfigError:
            if boot.slots.trial is not None:
                boot = _roll_back(boot, UNUSABLE, file, read)
            elif boot.slots.slot != config_slots.FILE:
                unusable = canonical.hash_config(boot.config)
                boot = _boot_file(file, boot.slots)
                boot.unusable = unusable
            else:
                raise


def _load_unit(boot: BootState, read: "Read") -> None:
    """Read the key for reports and the last change of a site key. Most units have none."""
    if read(unit_key.UNIT_KEY) is not None or read(unit_key.SITE_TRIAL) is not None:
        boot.set_unit(unit_key.read_unit_key(read), unit_key.read_site_trial(read))


def _load_releases(boot: BootState, read: "Read") -> None:
    """Read the state of application updates. Most units have none and do not load the code."""
    if read("update.record") is not None:
        from agent.remote.storage import software_slots  # noqa: PLC0415

        releases = software_slots.load_releases(read)
        boot.set_releases(releases, software_slots.read_chunk_count(read))


def start_confirmed(
    read: "Read", check: "Callable[[dict[str, Any]], Config]"
) -> "tuple[Config, BootState]":
    """Run the confirmed configuration although the site file is invalid.

    Raises `ConfigError` if there is none, or if it is invalid too.
    """
    record = config_slots.load_slots(None, read)
    config = config_slots.read_config(record.slot, read)
    raw = None if config is None else _parse_config(config)
    if config is None or raw is None:
        raise ConfigError("the store holds no confirmed configuration")
    record.drop_trial()
    boot = BootState(config, record)
    boot.set_checker(check, audit.recover(read))
    _load_unit(boot, read)
    return check(raw), boot


def _boot_confirmed(file: "dict[str, Any]", record: "ConfigSlots", read: "Read") -> BootState:
    if record.slot == config_slots.FILE:
        return BootState(canonical.encode_config(file), record)
    config = config_slots.read_config(record.slot, read)
    raw = None if config is None else _parse_config(config)
    if config is None or raw is None:
        return _boot_file(file, record)
    return BootState(config, record)


def _boot_file(file: "dict[str, Any]", record: "ConfigSlots") -> BootState:
    """Fall back to the site file. Its version differs from the base of all messages."""
    writes = record.use_file()
    return BootState(canonical.encode_config(file), record, writes)


def _parse_config(config: bytes) -> "dict[str, Any] | None":
    try:
        return canonical.decode_config(config)
    except DecodeError:
        return None
