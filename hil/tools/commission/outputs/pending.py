# SPDX-License-Identifier: Apache-2.0
"""The outputs that have perhaps not the words of before, with their state.

Does not read or write devices; see `hil.tools.commission.outputs.output_guard`. Each change is
stored before the next step of the program, so that it survives SIGKILL. The states of an output:

    intended   its old words are known; no write was sent
    watched    as intended; another output is under test, which can move this one
    written    a write was sent, or is sent next: only a read can show what the device has
    beside     no output: a register in which a write of another one has landed; it is only compared
    restored   the device has its old words again: the entry is gone

`ours` of an entry: the ranges of counts that this program or its agent can have written. A count
outside them is the value of another master. An entry without `ours` is of an earlier version.

`late`: the counts that were really written last. The program that wrote them compares with `ours`,
within seconds: a device can show a value on its way. A later call finds an output at rest, and an
operator can have set a value since, also one on that way. So it compares with `late` alone. `utc`:
the time of the last write that is known.

An agent has a trace of its writes (`hil.io.write_trace`): a later call compares with the words that
it shows, and with nothing else. Without the trace, after a restart of the machine, an output at any
value that the agent can have requested is its own.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from drivers.device.profile import Point
from drivers.errors import DriverError
from drivers.tools.lib.modbus_client import port_address
from hil.errors import BenchError
from hil.io.regular_file import SMALL_BYTES, MissingFileError, read_regular, write_whole
from hil.io.write_trace import written_words
from hil.tools.commission.outputs.pending_index import check_note, store_note, utc_now

INTENDED, NOT_RETURNED, RESTORED, FOREIGN = "intended", "written", "restored", "foreign"
WATCHED, BESIDE = "watched", "beside"
"""States of an output. `FOREIGN`: another master has it; as restored, the entry is gone."""
KEPT = "kept"
"""The output shall keep the value of the agent; this state is only in a record."""
FORMAT = "coldloop-outputs-1"
_LOW_AND_HIGH = 2

Device = dict[str, Any]
Ranges = list[list[int]]


class OldWords(NamedTuple):
    """The words of an output before its first write, and where they belong.

    `form`: how the profile reads them, at that time; "": not known, in an earlier version.
    `late`: as `ours`, for a later call; None: as `ours`. `trace`: the file with the writes of the
    agent; empty: there is none. `written`: the words that it shows, for a later call.
    """

    point: str
    function: int
    address: int
    words: list[int]
    ours: Ranges | None = None
    form: str = ""
    late: Ranges | None = None
    trace: str = ""
    written: list[list[int]] | None = None


def make_old_words(
    point: Point, words: list[int], ours: Ranges | None = None, late: Ranges | None = None
) -> OldWords:
    """Return the words of a point as read, with the form of its value."""
    return OldWords(point.name, point.function, point.address, words, ours, form_of(point), late)


def count_range(count: int) -> list[int]:
    """Return the range of one written count, with one count of rounding at both ends."""
    return [count - 1, count + 1]


def form_of(point: Point) -> str:
    """Return how the words of a point become its count; an edited profile can change it."""
    order = (point.order.positions, point.order.swapped)
    counts = (point.count_factor, point.count_offset, point.step, point.field, point.bcd)
    return json.dumps([point.kind, order, counts, point.weights, point.exponent, point.top])


class PendingOutputs:
    """The entries; `store` writes them. Raises what `store` raises; the entries are changed then.

    Thus an error of the file does not change what this program knows of the outputs.
    """

    def __init__(self, entries: list[dict[str, Any]], store: Callable[[], None]) -> None:
        self.entries = entries
        self.store = store
        self.path = Path()
        """The file with the entries."""
        self.remedy = ""
        """What to do with the file if the outputs were written by a person."""
        for entry in entries:
            _check_entry(entry)

    def set_state(self, device: Device, state: str, old: OldWords) -> None:
        """Store the state of an output. The words of an entry that is pending are not replaced."""
        found = [e for e in self.entries if _is_output(e, device, old.point)]
        if state in (RESTORED, FOREIGN):
            self.entries = [entry for entry in self.entries if entry not in found]
        elif found:
            found[0]["state"] = state
            found[0]["utc"] = utc_now()
            found[0]["old"]["ours"] = _join(found[0]["old"].get("ours"), old.ours)
            found[0]["old"]["late"] = old.late
        else:
            entry = {"device": device, "old": old._asdict(), "state": state, "utc": utc_now()}
            self.entries.append(entry)
        self.store()

    def set_all(
        self,
        state: str,
        ours: Callable[[str, str], Ranges | None] | None = None,
        late: Callable[[str, str], Ranges | None] | None = None,
    ) -> None:
        """Set the state of all entries; `ours` and `late` give ranges by device name and point.

        Ranges that are not known replace earlier ones: an output at any value is then ours.
        """
        before = json.dumps(self.entries)
        for entry in self.entries:
            where = entry["device"]["name"], entry["old"]["point"]
            entry["state"] = state
            for key, give in (("ours", ours), ("late", late)):
                if give is not None:
                    entry["old"][key] = give(*where)
        if json.dumps(self.entries) != before:
            for entry in self.entries:
                entry["utc"] = utc_now()
            self.store()

    def forget_watched(self, device: Device, point: str) -> None:
        """Forget an output that no write has reached."""
        kept = [
            entry
            for entry in self.entries
            if not (_is_output(entry, device, point) and entry["state"] in (WATCHED, INTENDED))
        ]
        if len(kept) != len(self.entries):
            self.entries = kept
            self.store()

    def forget_all(self) -> None:
        """Forget all entries: the outputs shall keep their values."""
        if self.entries:
            self.entries = []
            self.store()


class OutputFile(PendingOutputs):
    """The entries in a file of their own, which is there only while there are entries.

    Raises BenchError for a damaged file, if it cannot be written, and if its note has outputs that
    it does not have.
    """

    def __init__(self, path: Path) -> None:
        self._file = path
        entries = _read(path)
        check_note(path, entries)
        super().__init__(entries, self._write)
        self.path = path
        self.remedy = f"delete {path}"

    def _write(self) -> None:
        if not self.entries:
            store_note(self._file, [])
            try:
                self._file.unlink(missing_ok=True)
            except OSError as error:
                raise BenchError(f"{self._file}: {error.strerror}") from None
            return
        content = {"format": FORMAT, "outputs": self.entries}
        write_whole(self._file, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
        store_note(self._file, self.entries)  # a note without its entries is a refusal


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        record = json.loads(read_regular(path, SMALL_BYTES))
        if record["format"] != FORMAT:
            raise ValueError
        entries = list(record["outputs"])
        PendingOutputs(entries, lambda: None)
    except MissingFileError:
        return []
    except (ValueError, RecursionError, KeyError, TypeError):
        raise BenchError(
            f"{path}: not a journal of outputs; compare the outputs with your notes, then move the "
            "file away"
        ) from None
    return entries


def _check_entry(entry: dict[str, Any]) -> None:
    """Check the form of an entry, and complete one of an earlier version.

    An entry that is read is of an earlier call: what was written last counts.

    Raises ValueError, KeyError and TypeError.
    """
    if not isinstance(entry, dict):
        raise TypeError
    entry.setdefault("state", NOT_RETURNED)
    device, old = entry["device"], OldWords(**entry["old"])
    texts = (entry["state"], device["name"], device["port"], device["profile"], old.point, old.form,
             old.trace, entry.setdefault("utc", ""))  # fmt: skip
    if not all(isinstance(text, str) for text in texts):
        raise ValueError
    ranges = [list(pair) for pair in (*(old.ours or ()), *(old.late or ()))]
    if any(len(pair) != _LOW_AND_HIGH for pair in ranges) or not old.words:
        raise ValueError
    limits = [limit for pair in ranges for limit in pair]
    written = [word for words in old.written or () for word in words]
    numbers = [device["unit"], old.function, old.address, *old.words, *limits, *written]
    if not all(isinstance(number, int) for number in numbers):
        raise ValueError
    try:
        port_address(device["port"])
    except DriverError:
        raise ValueError from None
    if old.late is not None:
        entry["old"]["ours"] = [list(pair) for pair in old.late]
    if old.trace:
        _take_trace(entry, old)


def _take_trace(entry: dict[str, Any], old: OldWords) -> None:
    """Give an entry the words that the trace shows, and no ranges: they say it exactly."""
    device = entry["device"]
    where = device["port"], device["unit"], old.function, old.address, len(old.words)
    written = written_words(Path(old.trace), *where)
    if written is not None:
        entry["old"].update(written=written, ours=[])


def _join(old: Ranges | None, new: Ranges | None) -> Ranges | None:
    """A test that is repeated can have written the values of both tests."""
    return None if old is None or new is None else old + [r for r in new if r not in old]


def _is_output(entry: dict[str, Any], device: Device, point: str) -> bool:
    """Return whether the entry is of this output."""
    kept = entry["device"]
    where = (kept["port"], kept["unit"], entry["old"]["point"])
    return bool(where == (device["port"], device["unit"], point))
