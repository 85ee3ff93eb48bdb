# SPDX-License-Identifier: Apache-2.0
"""What the checks of the sensors have learned, over a restart: factors and suspect signals.

Does not check anything; see `agent.control.law.plausibility`. A restart while a
sensor value is false must not learn the false value as correct, so the factors and the suspicions
of before count.

The record is a text: the factors of dP and pump speed, the shares of the relations R1 and R6, each
in 1/1000000, then the numbers of the suspect signals and of their reasons, and a CRC of these
words. It is written when a signal becomes suspect or valid, and when a factor has changed by more
than `_CHANGE_PCT`, at most once in `_INTERVAL_US`. Without a store (no `port` in the section)
nothing is kept.
"""

from agent.core.stored_record import StoredRecord
from protocols.modbus.crc import crc16
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from agent.core.component.base import Actions

    class SensorChecks(Protocol):
        """The checks of the sensors; see `agent.control.law.plausibility`."""

        def learned(self) -> "tuple[list[float], list[int]]":
            """Return the factors and the numbers of the suspect signals."""
            ...

        def restore(self, factors: "list[float]", suspects: "list[int]") -> None:
            """Take over the result of `learned` from before a restart."""
            ...


KEY = "control.learned"
_MILLION = 1_000_000
_CHANGE_PCT = 2
_INTERVAL_US = 600 * SECOND
_FACTORS = 4


class LearnedStore:
    """The record in the store with the number `port`; -1: no store."""

    def __init__(self, port: int) -> None:
        self._store = StoredRecord(port, KEY)
        self._has_store = port >= 0
        self._loaded: list[int] = []
        self._written: list[int] = []
        self._written_at = -_INTERVAL_US

    def event(self, kind: str) -> None:
        """Handle an event of the store. The first `opened` requests the record."""
        self._store.event(kind)

    def receive(self, data: bytes) -> None:
        """Handle the stored record; an invalid one is ignored."""
        payload = self._store.receive(data)
        if payload is None:
            return
        try:
            numbers = [int(word) for word in payload.decode().split(" ")]
        except ValueError:  # UnicodeError is one too
            return
        if _encode(numbers[:-1]) == payload and len(numbers) > _FACTORS:
            self._loaded = self._written = numbers[:-1]

    def step(self, checks: "SensorChecks", now: int) -> None:
        """Use the loaded record once; store what has changed. Called once a cycle."""
        if not self._has_store or not self._store.is_settled:
            return
        self._restore_once(checks)
        factors, suspects = checks.learned()
        if factors[0] <= 0.0 or factors[1] <= 0.0 or not self._store.is_open:
            return
        numbers = [int(factor * _MILLION) for factor in factors]
        old = self._written
        has_changed = len(old) < _FACTORS or True in [
            100 * abs(new - last) > _CHANGE_PCT * last for new, last in zip(numbers, old)
        ]
        is_due = now - self._written_at >= _INTERVAL_US or 0 in old[:_FACTORS]
        if suspects == old[_FACTORS:] and not (has_changed and is_due):
            return
        if suspects and old:
            numbers = old[:_FACTORS]  # the factors of the time before the fault
        self._written, self._written_at = numbers + suspects, now
        self._store.write(_encode(self._written))

    def _restore_once(self, checks: "SensorChecks") -> None:
        if self._loaded:
            factors = [number / _MILLION for number in self._loaded[:_FACTORS]]
            checks.restore(factors, self._loaded[_FACTORS:])
            self._loaded = []

    def outbox(self) -> "Actions":
        """Return the requests for the store."""
        return self._store.outbox()


def _encode(numbers: "list[int]") -> bytes:
    text = " ".join([str(number) for number in numbers]).encode()
    return text + b" %d" % crc16(text)
