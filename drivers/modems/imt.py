# SPDX-License-Identifier: Apache-2.0
"""Iridium 9704: messages of up to 100,000 bytes, by JSPR at 230400 8N1.

    set up   apiVersion -> simConfig internal -> simStatus -> operationalState active
    send     messageOriginate -> the modem requests segments -> messageOriginateStatus
    receive  messageTerminate, …Segment, …Status, all unsolicited

The vendor's library stores 1,446 base64 characters of a segment and truncates larger ones without
an error. Therefore the driver compares contents by CRC, never by length. Sources: see
`protocols.modem.jspr`.
"""

from drivers.modems.base import POLL_PERIOD, ModemDriver
from protocols.modem import jspr, sbd
from protocols.time_units import NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Fields = list[tuple[str, object]]
    Handler = Callable[[dict[str, Any], int], None]

TOPIC = 244
"""Cloudloop's topic RAW."""
_RESPONSE_TIMEOUT_US = 3 * SECOND
_MESSAGE_TIMEOUT_US = 300 * SECOND
_SETUP_PAUSE_US = 5 * SECOND
_MAX_TIMEOUTS = 3
_MAX_REJECTIONS = 4
"""Requests in a row, all rejected: of two polls, or of messages too."""
_MAX_INCOMING = 4096
"""Maximum bytes of a message from the ground; longer ones are dropped and counted."""

_SETUP_REQUESTS: "tuple[tuple[str, str, Fields], ...]" = (
    ("GET", "apiVersion", []),
    ("PUT", "apiVersion", []),
    ("PUT", "simConfig", [("interface", "internal")]),
    ("PUT", "operationalState", []),
    ("GET", "constellationState", []),
)
"""Verb, target and fields of each request, in their order."""
_STATE_STEP = 3

_PUT_VERSION = b'PUT apiVersion {"active_version": {"major": %d, "minor": %d, "patch": %d}}\r'
_SET_UP = (200, jspr.ALREADY_SET, jspr.NOT_ALLOWED)
"""Codes that end a step of the set-up: done now, or before the port was opened."""


class ImtDriver(ModemDriver):
    """One modem; `settings["topic"]` is the topic of sent messages (default 244)."""

    max_bytes = jspr.MAX_BYTES

    def __init__(self, port: int, settings: "dict[str, Any]") -> None:
        ModemDriver.__init__(self, port, settings)
        self.reader = jspr.JsprReader()
        self._step = 0
        self._version = (1, 0, 0)
        self._response_due = NEVER
        self._setup_due = NEVER
        self._poll_due = NEVER
        self._timeout_count = 0
        self._rejections = 0
        self._topic = int(settings.get("topic", TOPIC))
        self._body = b""
        self._tag = 0
        self._reference = 0
        self._message_id: object = None
        self._message_due = NEVER
        self._incoming: dict[str, Any] | None = None
        self._targets: dict[str, Handler] = {
            "apiVersion": self._on_versions,
            "bootInfo": self._on_boot,
            "constellationState": self._on_constellation,
            "operationalState": self._on_state,
            "messageOriginate": self._on_originate,
            "messageOriginateSegment": self._on_segment,
            "messageOriginateStatus": self._on_status,
            "messageTerminate": self._on_terminate,
            "messageTerminateSegment": self._on_down_segment,
            "messageTerminateStatus": self._on_down_status,
        }

    def _on_closed(self, now: int) -> None:
        self._drop_session(now)
        self._update_deadline()

    def _set_up(self, now: int) -> None:
        self._drop_session(now)
        self._step = 0
        self._setup_due = NEVER
        self._next_step(now)

    def _next_step(self, now: int) -> None:
        if self._step < len(_SETUP_REQUESTS):
            verb, target, fields = _SETUP_REQUESTS[self._step]
            if target == "apiVersion" and verb == "PUT":
                self._output.append(_PUT_VERSION % self._version)
            elif target == "operationalState":
                self._put_state()
            else:
                self._output.append(jspr.build_request(verb, target, fields))
            self._response_due = now + _RESPONSE_TIMEOUT_US
        else:
            self._response_due = self._setup_due = NEVER
            self._rejections = 0
            self.ready = True
            self.emit("ready", True)
            self._poll_due = now + POLL_PERIOD
        self._update_deadline()

    def _drop_session(self, now: int) -> None:
        self.reader.reset()
        self._response_due = self._poll_due = NEVER
        self._incoming = None
        if self.ready:
            self.ready = False
            self.resets += 1
            self.emit("ready", False)
        if self.busy:
            self._finish_send(sbd.RETRY, "the modem was lost", now)

    def _update_deadline(self) -> None:
        self._wake_at = min(self._response_due, self._setup_due, self._poll_due, self._message_due)

    def receive(self, data: bytes, now: int) -> None:
        """Handle received bytes."""
        for code, target, fields in self.reader.feed(data):
            if code == jspr.UNSOLICITED:  # ends no timeout: it answers no request
                self._dispatch(target, fields, now)
                continue
            self._timeout_count = 0
            if code in _SET_UP and not self.ready and self._step < len(_SETUP_REQUESTS):
                if target == _SETUP_REQUESTS[self._step][1]:
                    self._step += 1
                    self._dispatch(target, fields, now)
                    self._next_step(now)
            elif code == 200:
                self._response_due = NEVER
                self._rejections = 0
                self._dispatch(target, fields, now)
            else:
                self._on_rejected(code, target, now)
        self._update_deadline()

    def _dispatch(self, target: str, fields: "dict[str, Any]", now: int) -> None:
        handler = self._targets.get(target)
        if handler is not None:
            handler(fields, now)

    def _on_rejected(self, code: int, target: str, now: int) -> None:
        """Handle a rejected request. A modem that rejects all of them has restarted without a word:
        it has no version yet.
        """
        self.faults += 1
        self._rejections += 1
        if not self.ready:
            self._response_due = NEVER
            self._setup_due = now + _SETUP_PAUSE_US
            return
        if self.busy and target.startswith("messageOriginate"):
            self._finish_send(sbd.RETRY, "%d to %s" % (code, target), now)
        if self._rejections >= _MAX_REJECTIONS:
            self._drop_session(now)
            self._setup_due = now + _SETUP_PAUSE_US

    def wake(self, now: int) -> None:
        """Handle a deadline."""
        if now >= self._response_due:
            self._response_due = NEVER
            self._timeout_count += 1
            if not self.ready or self._timeout_count >= _MAX_TIMEOUTS:
                self._timeout_count = 0
                self._drop_session(now)
                self._setup_due = now + _SETUP_PAUSE_US
        if now >= self._message_due:
            self._finish_send(sbd.RETRY, "no end of the message", now)
        if now >= self._setup_due and self._is_open:
            self._set_up(now)
        if now >= self._poll_due:
            self._poll_due = now + POLL_PERIOD
            if self._radio_on:
                self._output.append(jspr.build_request("GET", "operationalState", []))
                self._output.append(jspr.build_request("GET", "constellationState", []))
                self._response_due = min(self._response_due, now + _RESPONSE_TIMEOUT_US)
        self._update_deadline()

    def set_radio(self, on: bool, now: int) -> None:
        """Switch the radio on or off (operationalState)."""
        self._radio_on = on
        if self.ready or self._step > _STATE_STEP:
            self._put_state()
            if not on:
                self.emit("service", False)

    def _put_state(self) -> None:
        state = "active" if self._radio_on else "inactive"
        self._output.append(jspr.build_request("PUT", "operationalState", [("state", state)]))

    def _on_state(self, fields: "dict[str, Any]", now: int) -> None:
        """Set up a restarted modem again: its state is inactive."""
        if self.ready and self._radio_on and fields.get("state") == "inactive":
            self._set_up(now)

    def _on_boot(self, fields: "dict[str, Any]", now: int) -> None:
        """Set up a modem that has restarted."""
        if self._is_open:
            self._set_up(now)

    def _on_versions(self, fields: "dict[str, Any]", now: int) -> None:
        """Take the active version, or the newest that the modem supports."""
        versions = [fields.get("active_version")]
        supported = fields.get("supported_versions")
        if not isinstance(versions[0], dict) and isinstance(supported, list):
            versions = supported[:8]
        best = (0, 0, 0)
        for version in versions:
            if isinstance(version, dict):
                major, minor, patch = [version.get(name) for name in ("major", "minor", "patch")]
                if type(major) is int and type(minor) is int and type(patch) is int:
                    best = max(best, (major, minor, patch))
        if best > (0, 0, 0):
            self._version = best

    def _on_constellation(self, fields: "dict[str, Any]", now: int) -> None:
        bars = fields.get("signal_bars")
        if type(bars) is int and 0 <= bars <= 5:
            self.emit("signal", bars)
        self.emit("service", fields.get("constellation_visible") is True)

    # Uplink.

    def send(self, content: bytes, tag: int, now: int) -> bool:
        """Start to send one datagram."""
        if self.busy or not self.ready or not self._radio_on or not content:
            return False
        self.busy = True
        self._body = jspr.add_crc(content)
        self._tag = tag
        self._reference = self._reference % 99 + 1
        self._message_id = None
        self._message_due = now + _MESSAGE_TIMEOUT_US
        self.emit("transmitting", True)
        self._output.append(
            jspr.build_request(
                "PUT",
                "messageOriginate",
                [
                    ("topic_id", self._topic),
                    ("message_length", len(self._body)),
                    ("request_reference", self._reference),
                ],
            )
        )
        self._update_deadline()
        return True

    def _on_originate(self, fields: "dict[str, Any]", now: int) -> None:
        if not self.busy or fields.get("request_reference") != self._reference:
            return
        response = fields.get("message_response")
        if response == "message_accepted":
            self._message_id = fields.get("message_id")
        else:
            self._finish_send(jspr.FINAL_STATUS.get(str(response), sbd.RETRY), str(response), now)

    def _is_own_message(self, fields: "dict[str, Any]") -> bool:
        return self.busy and fields.get("message_id") == self._message_id is not None

    def _on_segment(self, fields: "dict[str, Any]", now: int) -> None:
        start, length = fields.get("segment_start"), fields.get("segment_length")
        if not self._is_own_message(fields) or "data" in fields or "response" in fields:
            return
        if type(start) is not int or type(length) is not int:
            return
        if not 0 <= start < start + length <= len(self._body) or length > jspr.SEGMENT_BYTES:
            self.faults += 1
            return
        data = self._body[start : start + length]
        self._output.append(
            jspr.build_request(
                "PUT",
                "messageOriginateSegment",
                [
                    ("topic_id", self._topic),
                    ("message_id", self._message_id),
                    ("segment_length", length),
                    ("segment_start", start),
                    ("data", jspr.encode_base64(data)),
                ],
            )
        )

    def _on_status(self, fields: "dict[str, Any]", now: int) -> None:
        if self._is_own_message(fields):
            final = str(fields.get("final_mo_status"))
            self._finish_send(jspr.FINAL_STATUS.get(final, sbd.RETRY), final, now)

    def _finish_send(self, outcome: str, reason: str, now: int) -> None:
        self.busy = False
        self._message_due = NEVER
        self.emit("transmitting", False)
        if outcome == sbd.SENT:
            self.emit("sent", self._tag)
        else:
            self.emit("send_failed", self._tag, outcome, reason, True)

    # Downlink.

    def _on_terminate(self, fields: "dict[str, Any]", now: int) -> None:
        self._incoming = {"id": fields.get("message_id"), "data": b""}

    def _on_down_segment(self, fields: "dict[str, Any]", now: int) -> None:
        incoming = self._incoming
        data = jspr.decode_base64(fields.get("data"))
        if incoming is None or data is None or fields.get("message_id") != incoming["id"]:
            return
        if fields.get("segment_start") != len(incoming["data"]):
            self._incoming = None
        elif len(incoming["data"]) + len(data) > _MAX_INCOMING:
            self.faults += 1
            self._incoming = None
        else:
            incoming["data"] += data

    def _on_down_status(self, fields: "dict[str, Any]", now: int) -> None:
        incoming, self._incoming = self._incoming, None
        if incoming is None or fields.get("message_id") != incoming["id"]:
            return
        content = jspr.strip_crc(incoming["data"])
        if content is None or fields.get("final_mt_status") != "complete":
            self.faults += 1
        elif content:
            self.emit("received", content)
