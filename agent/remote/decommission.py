# SPDX-License-Identifier: Apache-2.0
"""Decommission a unit: a signed command, a final report, and erasure of all secrets.

Does not erase certificates, programs, or the journal of the system.

    command (two signatures) ─▶ audit entry ─▶ final report ─▶ record `config.ended` ─▶ restart
                                                                                          │
    exit 2, also at each later start ◀── site file ◀── own store ◀── other stores, keys ◀─┘

The report holds number and hash of the last audit entry (`audit`) and `decommissioned`. The unit
waits at most one minute for the broker, so that a unit without a link ends too. After the record is
written, nothing stops the erasure: after a power cut the next start continues it. The record stays,
with unit, time, and that number and hash. To use the controller again, an operator must remove the
record manually. The site file is erased only if it is the decommissioned one. A new file is left
alone and not used.

The configurations of the unit name the data to erase: each record of each `store:`, the private key
of each `tls:`, the site file. Files are overwritten once and removed. Spare blocks of the flash are
not erased (encrypt the disk, or destroy it).
"""

from agent.remote.message import canonical
from agent.remote.storage import config_slots
from agent.remote.update.boot import DECOMMISSIONED_KEY
from drivers.errors import DriverError
from drivers.ports.address import parse_address
from drivers.ports.secure_erase import erase_file, erase_records
from protocols import cbor
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.remote.storage.config_slots import Read
    from agent.remote.storage.write_queue import RemoteHost

_REPORT_TIMEOUT_US = 60 * SECOND
_MAX_DEPTH = 6


class Decommission:
    """The steps from the command to the restart; `tick` does the next one."""

    def __init__(self, manager: "RemoteHost", now: int) -> None:
        self._manager = manager
        self._report_until = now + _REPORT_TIMEOUT_US
        self._reported = self._recorded = False

    def tick(self, now: int) -> None:
        """Send the final report, wait for the broker, then write the record."""
        manager = self._manager
        if manager.write_queue.is_busy() or self._recorded:
            return
        if not self._reported:
            self._reported = True
            manager.send_final_report()
        elif now >= self._report_until or not manager.is_report_pending():
            self._recorded = True
            manager.write_queue.write_records([final_record(manager, now)], now)
            manager.write_queue.after_durable(lambda _: manager.agent.restart(), now)


def final_record(manager: "RemoteHost", now: int) -> "tuple[str, bytes]":
    """Return the write that decommissions the unit."""
    config, log = manager.agent.config, manager.write_queue.audit
    fields = [
        config.site + "/" + config.unit,
        manager.trusted_utc_s(now) or None,
        log.number,
        log.head,
    ]
    return DECOMMISSIONED_KEY, config_slots.with_hash(
        cbor.encode(fields + [manager.boot.slots.site_file_hash])
    )


def erase_unit(path: str, raw: "dict[str, Any]", read: "Read") -> str:
    """Erase the data of a decommissioned unit. Return a text about it. `raw`: the parsed file
    `path`.
    """
    fields = config_slots.decode_hashed(read(DECOMMISSIONED_KEY))
    site_file_hash = fields[-1] if type(fields) is list and fields else b""
    store_folder = parse_address(str(raw["remote"].get("port"))).path
    if site_file_hash and site_file_hash != canonical.hash_config(canonical.encode_config(raw)):
        return (
            "this controller was decommissioned; this file is another one and was left alone: take "
            "%s/%s away to use the controller with it" % (store_folder, DECOMMISSIONED_KEY)
        )
    remaining = _erase_all(path, raw, read, store_folder)
    text = "decommissioned: its records, keys and this file are erased"
    return text + ("; CANNOT be erased, do it by hand: " + " ".join(remaining) if remaining else "")


def _erase_all(path: str, raw: "dict[str, Any]", read: "Read", store_folder: str) -> "list[str]":
    """Erase in an order that a later start can continue. Return the names that remain."""
    folders, files = secret_paths(raw)
    slots = config_slots.load_slots(site_file_hash=None, read=read)
    for number in (0, 1) if slots.site_file_hash else ():
        config = config_slots.read_config(number, read)
        if config is not None:
            more_folders, more_files = secret_paths(canonical.decode_config(config))
            folders.extend(more_folders)
            files.extend(more_files)
    remaining = []
    for file in files:
        remaining.extend(erase_file(file))
    for folder in folders:
        if folder != store_folder:
            remaining.extend(erase_records(folder, ()))
    remaining.extend(erase_records(store_folder, (DECOMMISSIONED_KEY,)))
    remaining.extend(erase_file(path))
    return sorted(set(remaining))


def secret_paths(raw: "Any", depth: int = 0) -> "tuple[list[str], list[str]]":
    """Return the folders of stores and the files of private keys in a configuration."""
    folders: list[str] = []
    files: list[str] = []
    if type(raw) is str and raw.split(":")[0] in ("store", "tls"):
        try:
            address = parse_address(raw)
        except DriverError:
            return [], []
        if address.kind == "store":
            folders.append(address.path)
        elif "key" in address.options:
            files.append(address.options["key"])
    if isinstance(raw, (dict, list)) and depth < _MAX_DEPTH:
        for item in raw if isinstance(raw, list) else raw.values():
            more_folders, more_files = secret_paths(item, depth + 1)
            folders.extend(more_folders)
            files.extend(more_files)
    return folders, files
