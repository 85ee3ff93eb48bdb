# SPDX-License-Identifier: Apache-2.0
"""Load the configuration at a start on CPython: from the file of the site or from the store.

Does not check the configuration itself; see `agent.config.load`.

It reads the file (JSON, or TOML by its name). Then it looks in the store of the section `remote`
for a configuration that is confirmed or on trial (see `agent.remote.update.boot`), and compiles it.
An invalid file stops the start only if the store has no confirmed configuration.
"""

import sys
from pathlib import Path
from typing import Any

from agent.config.load import load
from agent.config.tested_devices import UntestedError, check_tested
from agent.config.text_file import read_file
from agent.core.config_records import Config
from agent.core.errors import ConfigError, DecommissionedError
from agent.remote import decommission
from agent.remote.storage.boot_state import BootState
from agent.remote.update import boot
from drivers.errors import AddressError, PortError
from drivers.ports.address import parse_address
from drivers.ports.cpython.store import Store

Profiles = dict[str, dict[str, Any]]


def compile_config(raw: Any, path: str, profiles: Profiles) -> Config:
    """Check and compile a parsed configuration. Raises `ConfigError`; each line names `path`."""
    try:
        return load(raw, profiles)
    except ConfigError as error:
        raise ConfigError(
            "\n".join(f"{path}: {line}" for line in str(error).splitlines())
        ) from None


def boot_store(path: str, folder: str) -> Store | None:
    """Return the store that counts the starts: of `retain`, of `remote`, or `folder`."""
    try:
        raw = read_file(path)
        for section in ("retain", "remote"):
            if isinstance(raw, dict) and section in raw:
                return Store(parse_address(str(raw[section].get("port"))))
    except (ConfigError, AddressError, AttributeError):
        pass
    return Store(parse_address(f"store:{folder}")) if Path(folder).is_dir() else None


def choose_config(
    path: str, store: str, profiles: Profiles, confirmed_only: bool = False
) -> tuple[Config, BootState | None]:
    """Select and compile the configuration. `store` is the folder to use if the file is invalid.

    `confirmed_only`: end a trial, because the unit is in a boot loop.

    Raises `ConfigError`, also for a device that is not the tested one (it has precedence over the
    store), and for a decommissioned unit, which has then erased itself. The second
    value is None if the unit accepts no remote changes.
    """

    def compile_raw(raw: dict[str, Any]) -> Config:
        return compile_config(raw, path, profiles)

    try:
        raw = read_file(path)
        note = check_tested(path, raw, profiles)
        if note:
            print(f"coldloop agent: {note}", file=sys.stderr)
        port = store_address(raw)
        if port is None:
            return compile_raw(raw), None
        return _start_from_store(raw, path, port, compile_raw, confirmed_only)
    except (DecommissionedError, UntestedError):
        raise
    except ConfigError as error:
        return _load_confirmed(error, store, compile_raw)


def _start_from_store(
    raw: Any, path: str, port: str, compile_raw: Any, confirmed_only: bool
) -> tuple[Config, BootState]:
    read, write = _record_reader(port), _record_writer(port)
    try:
        return boot.start_config(raw, read, compile_raw, confirmed_only, write)
    except DecommissionedError:
        raise DecommissionedError(f"{path}: {decommission.erase_unit(path, raw, read)}") from None


def store_address(raw: Any) -> str | None:
    """Return the address of the store, None without one. It is not checked here."""
    section = raw.get("remote") if isinstance(raw, dict) else None
    return str(section.get("port")) if isinstance(section, dict) else None


def _load_confirmed(error: ConfigError, store: str, compile_raw: Any) -> tuple[Config, BootState]:
    try:
        config, boot_state = boot.start_confirmed(_record_reader(f"store:{store}"), compile_raw)
    except ConfigError:
        raise error from None
    print(
        f"{error}\ncoldloop agent: running the confirmed configuration in {store}", file=sys.stderr
    )
    return config, boot_state


def _record_reader(address: str) -> Any:
    """Return a function that reads records. A store that cannot be read has no records."""
    try:
        records = Store(parse_address(address))
    except AddressError:
        return lambda _: None

    def read(key: str) -> bytes | None:
        try:
            return records.read(key)
        except PortError as error:
            print(f"coldloop agent: {error}", file=sys.stderr)
            return None

    return read


def _record_writer(address: str) -> Any:
    """Return a function that replaces a record durably, or raises `OSError` or `PortError`."""

    def write(key: str, data: bytes) -> None:
        try:
            Store(parse_address(address)).write(key, data)
        except AddressError as error:
            raise OSError(str(error)) from None

    return write
