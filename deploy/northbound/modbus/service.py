# SPDX-License-Identifier: Apache-2.0
"""Modbus service of the process `web`: `northbound.modbus` of the configuration.

With `certificate`, `key` and `client_ca` the port speaks Modbus/TCP Security only: a second, open
port would make the roles worthless. Without `northbound.writes` the server is read-only.
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from deploy.errors import OpsError
from deploy.northbound.access.networks import PermittedNetworks
from deploy.northbound.modbus.requests import ModbusRequests
from deploy.northbound.modbus.roles import find_role, make_tls_context
from deploy.northbound.modbus.server import ModbusTcpServer
from deploy.northbound.modbus.set_points import ModbusWriteRules, UnitRegisters
from deploy.northbound.process.context import ServerContext
from deploy.northbound.process.listener import listen
from drivers.ports.cpython.certificate_files import POLL_S, FileStamps

_REFRESH_S = 0.05
"""A look at the file takes about 0.02 ms, and a new image 0.1 ms."""
_DEFAULT_INTERVAL_S = 60
_TLS_KEYS = ("certificate", "key", "client_ca")


async def serve(context: ServerContext) -> None:
    """Serve until cancelled. Raises OpsError: an address or a file is wrong."""
    section = context.section("modbus")
    writes: Mapping[str, Any] = context.settings.section.get("writes", {})
    rules = ModbusWriteRules(
        tuple(section.get("writers", ())), float(writes.get("every_s", _DEFAULT_INTERVAL_S))
    )
    writer = context.writer if context.settings.key_file() is not None else None
    memory = context.settings.state / "modbus-restore.json"
    registers = UnitRegisters(context.source, context.audit, time.monotonic, writer, rules, memory)
    files = TlsFiles(section, context.settings.path.parent)
    tls = make_context(section, context.settings.path.parent)
    server = ModbusTcpServer(
        ModbusRequests(registers),
        tls=tls,
        find_role=find_role,
        is_allowed=network_check(section.get("networks", ())),
        unit=section["unit"],
        is_permitted=network_check(rules.sources),
    )
    await server.start(listen("modbus", section["address"], section["port"]))
    look_at = time.monotonic() + POLL_S
    try:
        while True:
            await asyncio.sleep(_REFRESH_S)
            registers.refresh()
            if tls is not None and time.monotonic() >= look_at:
                look_at = time.monotonic() + POLL_S
                files.refresh(server)
    finally:
        await server.stop()


class TlsFiles:
    """Certificate, key and `client_ca` on the disk; `refresh` uses them when they are replaced."""

    def __init__(self, section: Mapping[str, Any], folder: Path) -> None:
        self._section, self._folder = section, folder
        own = [folder / section[key] for key in _TLS_KEYS if section.get(key)]
        self._own, self._authority = FileStamps(own[:2]), FileStamps(own[2:])

    def refresh(self, server: ModbusTcpServer) -> None:
        """Use files that were replaced. Files that do not fit together yet change nothing.

        With another `client_ca` the open connections end: their clients identify again.
        """
        has_authority = self._authority.has_changed()
        if not self._own.has_changed() and not has_authority:
            return
        try:
            tls = make_context(self._section, self._folder)
        except OpsError:
            return
        if tls is not None:
            self._own.keep()
            self._authority.keep()
            server.replace_tls(tls, end_all=has_authority)


def make_context(section: Mapping[str, Any], folder: Path) -> ssl.SSLContext | None:
    """Return the TLS settings; None: no TLS. Files are relative to `folder`. Raises OpsError."""
    given = [key for key in _TLS_KEYS if section.get(key)]
    if not given:
        return None
    if len(given) < len(_TLS_KEYS):
        missing = ", ".join(key for key in _TLS_KEYS if key not in given)
        raise OpsError(f"northbound.modbus: Modbus/TCP Security also needs {missing}")
    try:
        return make_tls_context(*(folder / section[key] for key in _TLS_KEYS))
    except OSError as error:
        raise OpsError(f"northbound.modbus: {error}") from None


def network_check(networks: tuple[str, ...]) -> Callable[[str], bool] | None:
    """Return the test of an address; None: all are permitted. Raises OpsError: no network."""
    try:
        permitted = PermittedNetworks(networks)
    except ValueError as error:
        raise OpsError(f"northbound: networks: {error}") from None
    return permitted.has if networks else None
