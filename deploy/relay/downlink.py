"""The way down through a message gateway: acknowledgements and receipts as MT messages.

Not the way up (deploy.relay.http_server). A gateway bills each message, so acknowledgements of one unit are
gathered for some seconds and leave as one. They are posted in RockBLOCK's form (`imei`, `username`,
`password`, `data` in hexadecimal; the answer begins with "OK") by a thread of its own. What is lost
here costs a repetition: the unit sends again what nobody acknowledged, under the same number.
"""

import sys
import threading
import time
import urllib.parse
import urllib.request

from protocols import datagram

_TRIES, _PAUSE_S, _TIMEOUT_S = 3, 2.0, 10
_LARGEST = 270
_MOST_RANGES = (_LARGEST - 1 - datagram.TAG) // 4
_MOST_MORE = 255
_MOST_WAITING = 1000


def ranges(numbers: set[int]) -> list[tuple[int, int]]:
    """Join numbers: (first, how many more)."""
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and found[-1][0] + found[-1][1] + 1 == number and found[-1][1] < _MOST_MORE:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((number, 0))
    return found


class Downlink:
    """Posts to `url`; `modems`: IMEI -> unit; `keys`: by unit; `login`: user and password.

    Counts: `posted`, `lost` (messages that the gateway did not take).
    """

    def __init__(
        self,
        url: str,
        modems: dict[str, str],
        keys: dict[str, bytes],
        gather_s: float,
        login: tuple[str, str] = ("", ""),
    ) -> None:
        self.posted = 0
        self.lost = 0
        self._url = url
        self._imei = {unit: imei for imei, unit in modems.items()}
        self._keys = keys
        self._gather_s = gather_s
        self._login = login
        self._numbers: dict[str, tuple[float, set[int]]] = {}
        self._messages: list[tuple[str, bytes]] = []
        self._wake = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def acknowledge(self, unit: str, number: int) -> None:
        """Acknowledge a datagram, soon; nothing for a unit without a key or a modem."""
        if unit in self._keys and unit in self._imei:
            with self._wake:
                due = time.monotonic() + self._gather_s
                self._numbers.setdefault(unit, (due, set()))[1].add(number)
                self._wake.notify()

    def say(self, unit: str, data: bytes) -> None:
        """Send a receipt of the log down as it is."""
        if unit in self._imei and len(data) <= _LARGEST:
            with self._wake:
                if len(self._messages) >= _MOST_WAITING:
                    self._messages.pop(0)
                    self.lost += 1
                self._messages.append((unit, data))
                self._wake.notify()

    def _due(self) -> list[tuple[str, bytes]]:
        """Take what is to go now. With the lock held."""
        now = time.monotonic()
        out, self._messages = self._messages, []
        for unit, (due, numbers) in list(self._numbers.items()):
            if due <= now or self._closing:
                del self._numbers[unit]
                all_of = ranges(numbers)
                for at in range(0, len(all_of), _MOST_RANGES):
                    some = all_of[at : at + _MOST_RANGES]
                    out.append((unit, datagram.acknowledge(self._keys[unit], unit, some)))
        return out

    def _pause(self) -> float | None:
        dues = [due for due, _ in self._numbers.values()]
        return max(0.01, min(dues) - time.monotonic()) if dues else None

    def _work(self) -> None:
        while True:
            with self._wake:
                out = self._due()
                if not out:
                    if self._closing:
                        return
                    self._wake.wait(self._pause())
                    continue
            for unit, data in out:
                if self._post(self._imei[unit], data):
                    self.posted += 1
                else:
                    self.lost += 1

    def _post(self, imei: str, data: bytes) -> bool:
        user, password = self._login
        fields = {"imei": imei, "username": user, "password": password, "data": data.hex()}
        body = urllib.parse.urlencode(fields).encode()
        why = ""
        for attempt in range(_TRIES):
            try:
                request = urllib.request.Request(self._url, body)
                with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
                    said = answer.read(200).decode("ascii", "replace")
                if said.startswith("OK"):
                    return True
                why = said
                break  # refused: the same words would be refused again
            except OSError as error:
                why = str(error)
                if self._closing:
                    break
                time.sleep(_PAUSE_S * attempt)
        sys.stderr.write(f"gateway: {imei}: {why}\n")
        return False

    def close(self) -> None:
        """Post what is gathered, then end."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(_TRIES * _TIMEOUT_S)
