"""What a start on CPython runs: the site's file, or what operators have made of it since.

Reads the file (JSON, or TOML by its name), looks in the store of the section `remote` for a
configuration that was confirmed or is on trial (see `agent.remote.update.boot`), and compiles it. A file
that is not good stops the start only when the store holds no confirmed configuration either.
"""

import sys
import tomllib
from pathlib import Path
from typing import Any

from agent.config import file
from agent.config.load import load
from agent.core.config_records import Config
from agent.core.errors import ConfigError, Decommissioned
from agent.remote import decommission
from agent.remote.storage.boot_state import Boot
from agent.remote.update import boot
from drivers.errors import AddressError, PortError
from drivers.ports.address import parse
from drivers.ports.cpython.store import Store

Maps = dict[str, dict[str, Any]]


def read_file(path: str) -> Any:
    """Read and parse a configuration; raises `ConfigError`, each line naming the file."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; name the agent's configuration") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text") from None
    if not path.endswith(".toml"):
        return file.parse(text, path)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None


def compiled(raw: Any, path: str, profiles: Maps) -> Config:
    """Check and compile a parsed configuration; raises `ConfigError`, each line naming `path`."""
    try:
        return load(raw, profiles)
    except ConfigError as error:
        raise ConfigError(
            "\n".join(f"{path}: {line}" for line in str(error).splitlines())
        ) from None


def begin(path: str, store: str, profiles: Maps) -> tuple[Config, Boot | None]:
    """Choose and compile what to run; `store` is the folder to look in when the file is no help.

    Raises `ConfigError`; a decommissioned unit has then erased itself. The second of the pair is
    None when the unit takes no changes from afar.
    """

    def check(raw: dict[str, Any]) -> Config:
        return compiled(raw, path, profiles)

    try:
        raw = read_file(path)
        port = store_of(raw)
        if port is None:
            return check(raw), None
        return _started(raw, path, _reader(port), check)
    except Decommissioned:
        raise
    except ConfigError as error:
        return _rescued(error, store, check)


def _started(raw: Any, path: str, read: Any, check: Any) -> tuple[Config, Boot]:
    try:
        return boot.start(raw, read, check)
    except Decommissioned:
        raise Decommissioned(f"{path}: {decommission.erase(path, raw, read)}") from None


def store_of(raw: Any) -> str | None:
    """Give the store's address, None without one; whether it is right is checked later."""
    section = raw.get("remote") if isinstance(raw, dict) else None
    return str(section.get("port")) if isinstance(section, dict) else None


def _rescued(fault: ConfigError, store: str, check: Any) -> tuple[Config, Boot]:
    try:
        config, found = boot.rescue(_reader(f"store:{store}"), check)
    except ConfigError:
        raise fault from None
    print(f"{fault}\ncoldloop agent: running the confirmed one in {store}", file=sys.stderr)
    return config, found


def _reader(address: str) -> Any:
    """Give a way to read records; a store that cannot be read holds nothing."""
    try:
        records = Store(parse(address))
    except AddressError:
        return lambda _: None

    def read(key: str) -> bytes | None:
        try:
            return records.read(key)
        except PortError as error:
            print(f"coldloop agent: {error}", file=sys.stderr)
            return None

    return read
