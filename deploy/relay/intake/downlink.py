# SPDX-License-Identifier: Apache-2.0
"""Downlink through a message gateway: acknowledgements and receipts as MT messages.

Does not receive messages; see `http_server`. A gateway bills each message, so the downlink collects
the acknowledgements of a unit for some seconds and sends them as one message. A thread posts the
messages in the form of RockBLOCK: `imei`, `username`, `password`, `data` in hexadecimal; a good
response starts with "OK". A redirection is none: the library would follow it without the message.
After a lost acknowledgement the unit sends the datagram again with the same number.
"""

import threading
import time
import urllib.parse
import urllib.request

from deploy.relay.outputs.http_client import HTTP_ERRORS, NoRedirection
from deploy.relay.terminal_text import report
from deploy.secret_file import LoginFile
from protocols import datagram

_TRIES, _RETRY_DELAY_S, _TIMEOUT_S = 3, 2.0, 10
_MAX_MESSAGE_BYTES = 270
_MAX_RANGES = (_MAX_MESSAGE_BYTES - 1 - datagram.TAG_BYTES) // 4
_MAX_FOLLOWING = 255
_MAX_PENDING = 1000


def join_numbers(numbers: set[int]) -> list[tuple[int, int]]:
    """Join numbers to ranges: (first, number of further ones)."""
    joined: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if (
            joined
            and joined[-1][0] + joined[-1][1] + 1 == number
            and joined[-1][1] < _MAX_FOLLOWING
        ):
            joined[-1] = (joined[-1][0], joined[-1][1] + 1)
        else:
            joined.append((number, 0))
    return joined


class Downlink:
    """Posts to `url`; `modems`: IMEI -> unit; `keys`: by unit; `login`: user and password.

    Counters: `posted`, `failed` (messages that the gateway did not accept).
    """

    def __init__(
        self,
        url: str,
        modems: dict[str, str],
        keys: dict[str, bytes],
        gather_s: float,
        login: LoginFile | None = None,
    ) -> None:
        self.posted = 0
        self.failed = 0
        self._url = url
        self._imei_of_unit = {unit: imei for imei, unit in modems.items()}
        self._keys = keys
        self._gather_s = gather_s
        self._login = login
        self._opener = urllib.request.build_opener(NoRedirection)
        self._pending_acks: dict[str, tuple[float, set[int]]] = {}
        self._pending_messages: list[tuple[str, bytes]] = []
        self._wake = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def acknowledge(self, unit: str, number: int) -> None:
        """Acknowledge a datagram within `gather_s`, if the unit has a key and a modem."""
        if unit in self._keys and unit in self._imei_of_unit:
            with self._wake:
                due = time.monotonic() + self._gather_s
                self._pending_acks.setdefault(unit, (due, set()))[1].add(number)
                self._wake.notify()

    def send_receipt(self, unit: str, data: bytes) -> None:
        """Send a receipt of the log without change."""
        if unit in self._imei_of_unit and len(data) <= _MAX_MESSAGE_BYTES:
            with self._wake:
                if len(self._pending_messages) >= _MAX_PENDING:
                    self._pending_messages.pop(0)
                    self.failed += 1
                self._pending_messages.append((unit, data))
                self._wake.notify()

    def _take_due(self) -> list[tuple[str, bytes]]:
        """Take the messages that are due. The caller holds the lock."""
        now = time.monotonic()
        messages, self._pending_messages = self._pending_messages, []
        for unit, (due, numbers) in list(self._pending_acks.items()):
            if due <= now or self._closing:
                del self._pending_acks[unit]
                joined = join_numbers(numbers)
                for at in range(0, len(joined), _MAX_RANGES):
                    part = joined[at : at + _MAX_RANGES]
                    messages.append((unit, datagram.pack_ack(self._keys[unit], unit, part)))
        return messages

    def _wait_time_s(self) -> float | None:
        dues = [due for due, _ in self._pending_acks.values()]
        return max(0.01, min(dues) - time.monotonic()) if dues else None

    def _run(self) -> None:
        while True:
            with self._wake:
                messages = self._take_due()
                if not messages:
                    if self._closing:
                        return
                    self._wake.wait(self._wait_time_s())
                    continue
            for unit, data in messages:
                if self._post(self._imei_of_unit[unit], data):
                    self.posted += 1
                else:
                    self.failed += 1

    def _post(self, imei: str, data: bytes) -> bool:
        user, password = ("", "") if self._login is None else self._login.login()
        fields = {"imei": imei, "username": user, "password": password, "data": data.hex()}
        body = urllib.parse.urlencode(fields).encode()
        reason = ""
        for attempt in range(_TRIES):
            try:
                request = urllib.request.Request(self._url, body)
                with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
                    response = answer.read(200).decode("ascii", "replace")
                if response.startswith("OK"):
                    return True
                reason = response
                break  # rejected: a repetition would be rejected too
            except HTTP_ERRORS as error:
                reason = str(error)
                if self._closing:
                    break
                time.sleep(_RETRY_DELAY_S * attempt)
        report(f"gateway: {imei}: {reason}")
        return False

    def close(self) -> None:
        """Post the collected messages, then end the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(_TRIES * _TIMEOUT_S)
