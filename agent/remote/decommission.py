"""The end of a unit's service: a signed command, a last word, and nothing left that could be read.

    command (two signatures) ─▶ log entry ─▶ last report ─▶ record `config.ended` ─▶ new start
                                                                                        │
    exit 2, and at every later start ◀── the file itself ◀── own store ◀── other stores, keys

The report carries number and hash of the log's last entry (`audit`) and says `decommissioned`; it
waits for the broker for a minute at most, so that a unit that was carried off ends, too. From the
record on there is no way back: a power cut lets the next start go on. The record stays, with unit,
time, and that number and hash; a controller is used again when somebody takes it away by hand. The
site's file is erased only while it is the one that was ended: a new one is left alone, and not run.

Erased is what the unit's configurations name: every record of every `store:`, the private key of
every `tls:`, the site's file. Files are overwritten once, then removed; what flash keeps in blocks
that it has put aside is out of reach (encrypt the disk, or destroy it). Not erased: certificates,
programs, the system's journal.
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
    """The way from the command to the new start; `tick` takes the next step."""

    def __init__(self, manager: "RemoteHost", now: int) -> None:
        self._manager = manager
        self._report_until = now + _REPORT_TIMEOUT_US
        self._reported = self._recorded = False

    def tick(self, now: int) -> None:
        """Say the last word, wait for the broker to have it, then leave the record."""
        manager = self._manager
        if manager.write_queue.is_busy() or self._recorded:
            return
        if not self._reported:
            self._reported = True
            manager.final_report()
        elif now >= self._report_until or not manager.report_pending():
            self._recorded = True
            manager.write_queue.write_records([final_record(manager, now)], now)
            manager.write_queue.after_durable(lambda _: manager.agent.restart(), now)


def final_record(manager: "RemoteHost", now: int) -> "tuple[str, bytes]":
    """Give the write after which the unit is ended."""
    config, log = manager.agent.config, manager.write_queue.audit
    parts = [
        config.site + "/" + config.unit,
        manager.trusted_utc_s(now) or None,
        log.number,
        log.head,
    ]
    return DECOMMISSIONED_KEY, config_slots.with_hash(
        cbor.encode(parts + [manager.boot.slots.origin])
    )


def erase_unit(path: str, raw: "dict[str, Any]", read: "Read") -> str:
    """Erase what an ended unit holds; say what became of it. `raw`: the file `path`, parsed."""
    parts = config_slots.decode_sealed(read(DECOMMISSIONED_KEY))
    origin = parts[-1] if type(parts) is list and parts else b""
    store = parse_address(str(raw["remote"].get("port"))).path
    if origin and origin != canonical.hash_config(canonical.encode_config(raw)):
        return (
            "this controller was decommissioned; this file is another one and was left alone: take "
            "%s/%s away to use the controller with it" % (store, DECOMMISSIONED_KEY)
        )
    remaining = _erase_all(path, raw, read, store)
    text = "decommissioned: its records, keys and this file are erased"
    return text + ("; CANNOT be erased, do it by hand: " + " ".join(remaining) if remaining else "")


def _erase_all(path: str, raw: "dict[str, Any]", read: "Read", store: str) -> "list[str]":
    """Erase in an order in which a later start can go on; name what is left."""
    folders, files = secret_paths(raw)
    record = config_slots.load_slots(None, read)
    for number in (0, 1) if record.origin else ():
        config = config_slots.read_config(number, read)
        if config is not None:
            found = secret_paths(canonical.decode_config(config))
            folders.extend(found[0])
            files.extend(found[1])
    remaining = []
    for file in files:
        remaining.extend(erase_file(file))
    for folder in folders:
        if folder != store:
            remaining.extend(erase_records(folder, ()))
    remaining.extend(erase_records(store, (DECOMMISSIONED_KEY,)))
    remaining.extend(erase_file(path))
    return sorted(set(remaining))


def secret_paths(raw: "Any", depth: int = 0) -> "tuple[list[str], list[str]]":
    """Name the folders of stores and the files of private keys in a configuration."""
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
            found = secret_paths(item, depth + 1)
            folders.extend(found[0])
            files.extend(found[1])
    return folders, files
