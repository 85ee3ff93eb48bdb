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
from agent.remote.update.boot import ENDED
from drivers.errors import DriverError
from drivers.ports.address import parse
from drivers.ports.secure_erase import erase_file, erase_records
from protocols import cbor
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.remote.manager import Desk
    from agent.remote.storage.config_slots import Read

_LAST_WORD_US = 60 * SECOND
_MOST_DEPTH = 6


class Wipe:
    """The way from the command to the new start; `tick` takes the next step."""

    def __init__(self, desk: "Desk", now: int) -> None:
        self._desk = desk
        self._until = now + _LAST_WORD_US
        self._said = self._ended = False

    def tick(self, now: int) -> None:
        """Say the last word, wait for the broker to have it, then leave the record."""
        desk = self._desk
        if desk.keeper.busy() or self._ended:
            return
        if not self._said:
            self._said = True
            desk.end()
        elif now >= self._until or not desk.unsaid():
            self._ended = True
            desk.keeper.store([record(desk, now)], now)
            desk.keeper.then(lambda _: desk.agent.restart(), now)


def record(desk: "Desk", now: int) -> "tuple[str, bytes]":
    """Give the write after which the unit is ended."""
    config, log = desk.agent.config, desk.keeper.audit
    parts = [config.site + "/" + config.unit, desk.utc_s(now) or None, log.number, log.head]
    return ENDED, config_slots.sealed(cbor.encode(parts + [desk.boot.slots.origin]))


def erase(path: str, raw: "dict[str, Any]", read: "Read") -> str:
    """Erase what an ended unit holds; say what became of it. `raw`: the file `path`, parsed."""
    parts = config_slots.unsealed(read(ENDED))
    origin = parts[-1] if type(parts) is list and parts else b""
    store = parse(str(raw["remote"].get("port"))).path
    if origin and origin != canonical.digest(canonical.write(raw)):
        return (
            "this controller was decommissioned; this file is another one and was left alone: take "
            "%s/%s away to use the controller with it" % (store, ENDED)
        )
    left = _erase_all(path, raw, read, store)
    text = "decommissioned: its records, keys and this file are erased"
    return text + ("; CANNOT be erased, do it by hand: " + " ".join(left) if left else "")


def _erase_all(path: str, raw: "dict[str, Any]", read: "Read", store: str) -> "list[str]":
    """Erase in an order in which a later start can go on; name what is left."""
    folders, files = places(raw)
    record = config_slots.load(None, read)
    for number in (0, 1) if record.origin else ():
        config = config_slots.config_in(number, read)
        if config is not None:
            more = places(canonical.read(config))
            folders.extend(more[0])
            files.extend(more[1])
    left = []
    for file in files:
        left.extend(erase_file(file))
    for folder in folders:
        if folder != store:
            left.extend(erase_records(folder, ()))
    left.extend(erase_records(store, (ENDED,)))
    left.extend(erase_file(path))
    return sorted(set(left))


def places(raw: "Any", depth: int = 0) -> "tuple[list[str], list[str]]":
    """Name the folders of stores and the files of private keys in a configuration."""
    folders: list[str] = []
    files: list[str] = []
    if type(raw) is str and raw.split(":")[0] in ("store", "tls"):
        try:
            address = parse(raw)
        except DriverError:
            return [], []
        if address.kind == "store":
            folders.append(address.path)
        elif "key" in address.options:
            files.append(address.options["key"])
    if isinstance(raw, (dict, list)) and depth < _MOST_DEPTH:
        for item in raw if isinstance(raw, list) else raw.values():
            more = places(item, depth + 1)
            folders.extend(more[0])
            files.extend(more[1])
    return folders, files
