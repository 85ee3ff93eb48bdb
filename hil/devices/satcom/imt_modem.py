# SPDX-License-Identifier: Apache-2.0
"""An emulated Iridium 9704: JSPR at 230400 baud, messages in segments that the modem requests.

construct describes the frames and Python's own package reads JSON; no code is shared with the
agent. Sources: see `imt_targets`, which answers all requests but those for messages and the sky. A
segment that is not supplied within 30 s ends the message. The vendor's library stores 1,446
characters of base64, so no segment to the client is longer than 1,083 bytes. The real modem keeps
up to 99 messages of a topic; this one transfers one message and refuses a second.
"""

from __future__ import annotations

import base64
import json
from binascii import crc_hqx
from typing import Any, ClassVar, NamedTuple

from construct import Bytes, Const, ConstructError, GreedyBytes, Int16ub, Rebuild, Struct, this

from hil.devices.base import MILLISECOND, NEVER, SECOND, Replies
from hil.devices.satcom import imt_targets
from hil.devices.satcom.gateway import MessageGateway
from hil.devices.satcom.imt_targets import Fields, ImtTargets
from hil.devices.satcom.modem import EmulatedModem
from hil.devices.satcom.radio import Radio

_REQUEST = Struct("verb" / Bytes(3), Const(b" "), "rest" / GreedyBytes)
_MESSAGE = Struct(
    "content" / Bytes(this._.size), "crc" / Rebuild(Int16ub, lambda c: crc_hqx(c.content, 0))
)
_SEGMENT = 1_446
_DOWNLINK_SEGMENT = 1_083
_MAX_MESSAGE = 100_002
_MAX_REQUEST = 8_192
_SKY_CHECK_US = 5 * SECOND
_SUPPLY_TIMEOUT_US = 30 * SECOND
_BYTE_US = 1_200
"""6.7 kbit/s: 100 kB in about two minutes, as the vendor states."""


class _Uplink(NamedTuple):
    """A message that the modem fetches from the client."""

    topic: int
    number: int
    size: int
    data: bytes = b""

    def ids(self) -> Fields:
        return {"topic_id": self.topic, "message_id": self.number}


class ImtModem(EmulatedModem):
    """One modem. Faults:

    dead                 the modem sends nothing
    force_status         final_mo_status of the next messages, in order
    lose_acks            number of messages that arrive but end with `message_expired`
    junk_before_answers  a line of invalid bytes before every answer
    reset_next           the modem restarts at the next segment
    """

    FAULTS: ClassVar = EmulatedModem.FAULTS | {"lose_acks", "junk_before_answers", "reset_next"}
    boot_us = 8 * SECOND

    def __init__(
        self, radio: Radio, gateway: MessageGateway, serial: str = "300258060000010"
    ) -> None:
        self.targets = ImtTargets(serial)
        super().__init__(radio, gateway, serial)
        self.force_status: list[str] = []
        self.lose_acks = 0
        self.junk_before_answers = False
        self.reset_next = False
        self.messages = 0

    def _clear_state(self) -> None:
        super()._clear_state()
        self.targets.power_up()
        self._uplink: _Uplink | None = None
        self._uplink_due = NEVER
        self._boot_due = NEVER
        self._next_id = 0

    def reset(self, now: int) -> None:
        """Restart; the modem reports its start at the end."""
        super().reset(now)
        self._boot_due = self._boot_until

    def receive(self, data: bytes, now: int) -> Replies:
        """Process received bytes."""
        if self._is_unresponsive(now):
            return []
        lines = (self._buffer + data).split(b"\r")
        self._buffer = lines[-1][-2 * _MAX_REQUEST :]
        replies: Replies = []
        for line in lines[:-1]:
            replies += self._handle_request(line.strip(), now)
            if self._is_unresponsive(now):
                break
        return replies

    def _message(
        self, code: int, target: str, fields: Fields, delay: int = 5 * MILLISECOND
    ) -> tuple[int, bytes]:
        text = json.dumps(fields, separators=(",", ":"))
        junk = b"\x00junk {\r" if self.junk_before_answers else b""
        return delay, junk + f"{code} {target} {text}\r".encode()

    def _event(self, target: str, fields: Fields, delay: int = 5 * MILLISECOND) -> Replies:
        return [self._message(imt_targets.UNSOLICITED, target, fields, delay)]

    def _handle_request(self, line: bytes, now: int) -> Replies:
        if not line:
            return []
        target = "MALFORMED"
        code = imt_targets.TOO_LONG if len(line) > _MAX_REQUEST else imt_targets.MALFORMED
        try:
            frame = _REQUEST.parse(line[:_MAX_REQUEST])
            name, _, text = frame.rest.decode().partition(" ")
            if code == imt_targets.TOO_LONG or not text:
                return [self._message(code, target, {})]
            target, code = name, imt_targets.BAD_JSON
            fields = json.loads(text)
        except (ValueError, RecursionError, ConstructError):
            return [self._message(code, target, {})]
        if not isinstance(fields, dict):
            return [self._message(code, target, {})]
        if frame.verb not in (b"GET", b"PUT"):
            return [self._message(imt_targets.BAD_VERB, target, {})]
        return self._answer(frame.verb == b"PUT", target, fields, now)

    def _answer(self, put: bool, target: str, fields: Fields, now: int) -> Replies:
        if self.targets.version is not None:
            if target == "constellationState":
                code = imt_targets.BAD_VERB if put else imt_targets.NO_ERROR
                return [self._message(code, target, {} if put else self._constellation(now))]
            if target.startswith("messageOriginate"):
                return self._originate(put, target, fields, now)
        code, report = self.targets.answer(put, target, fields)
        if target == "messageActivityStatus" and code == imt_targets.NO_ERROR:
            report["active"] = self._uplink is not None
        replies = [self._message(code, target, report)]
        if put and code == imt_targets.NO_ERROR:
            replies += self._after_setting(target, now)
        return replies

    def _after_setting(self, target: str, now: int) -> Replies:
        """Return the events that follow a setting."""
        if target == "simConfig":
            return self._event("simStatus", self.targets.sim_status(), 200 * MILLISECOND)
        if target != "operationalState":
            return []
        self._sky_check_at = now + SECOND if self.targets.active else NEVER
        if not self.targets.active:
            self._uplink, self._uplink_due = None, NEVER
        return self._event(target, {"state": self.targets.state, "reason": 0})

    def _constellation(self, now: int) -> Fields:
        bars = self.radio.bars(now) if self.targets.active else 0
        state: Fields = {"constellation_visible": bars > 0, "signal_bars": bars}
        if bars:
            state["signal_level"] = -121 + 2 * bars
        return state

    # Uplink.

    def _originate(self, put: bool, target: str, fields: Fields, now: int) -> Replies:
        handlers = {
            "messageOriginate": self._accept,
            "messageOriginateSegment": self._receive_segment,
            "messageOriginateStatus": self._cancel,
        }
        if target not in handlers:
            return [self._message(imt_targets.UNKNOWN, target, {})]
        if not put:
            return [self._message(imt_targets.BAD_VERB, target, {})]
        return handlers[target](fields, now)

    def _accept(self, fields: Fields, now: int) -> Replies:
        target = "messageOriginate"
        topic, size = fields.get("topic_id"), fields.get("message_length")
        reference = fields.get("request_reference")
        if not all(type(value) is int for value in (topic, size, reference)):
            return [self._message(imt_targets.BAD_JSON, target, {})]
        if not self.targets.active:
            return [self._message(imt_targets.NOT_ALLOWED, target, {})]
        answer: Fields = {"topic_id": topic, "request_reference": reference}
        if not self.targets.has_topic(topic) or not 3 <= fields["message_length"] <= _MAX_MESSAGE:
            answer["message_response"] = "subscription_invalid"
            return [self._message(imt_targets.NO_ERROR, target, answer)]
        if self._uplink is not None:
            answer["message_response"] = "message_discarded_on_overflow"
            return [self._message(imt_targets.NO_ERROR, target, answer)]
        self._next_id = self._next_id % 255 + 1
        self._uplink = _Uplink(fields["topic_id"], self._next_id, fields["message_length"])
        answer["message_id"] = self._next_id
        answer["message_response"] = "message_accepted"
        return [
            self._message(imt_targets.NO_ERROR, target, answer),
            *self._activity(True),
            *self._request_segment(self._uplink, now),
        ]

    def _activity(self, active: bool, delay: int = 5 * MILLISECOND) -> Replies:
        if not self.targets.reports_activity:
            return []
        return self._event("messageActivityStatus", {"enabled": True, "active": active}, delay)

    def _request_segment(self, uplink: _Uplink, now: int) -> Replies:
        self._uplink_due = now + _SUPPLY_TIMEOUT_US
        start = len(uplink.data)
        length = min(_SEGMENT, uplink.size - start)
        fields = {**uplink.ids(), "segment_length": length, "segment_start": start}
        return self._event("messageOriginateSegment", fields, 50 * MILLISECOND)

    def _receive_segment(self, fields: Fields, now: int) -> Replies:
        target, uplink = "messageOriginateSegment", self._uplink
        if uplink is None or fields.get("message_id") != uplink.number:
            return [self._message(imt_targets.NOT_ALLOWED, target, {})]
        if self.reset_next:
            self.reset_next = False
            self.reset(now)
            return []
        try:
            data = base64.b64decode(fields["data"], validate=True)
        except (KeyError, TypeError, ValueError):
            return [self._message(imt_targets.BAD_JSON, target, {})]
        replies = [self._message(imt_targets.NO_ERROR, target, uplink.ids())]
        expected = min(_SEGMENT, uplink.size - len(uplink.data))
        if fields.get("segment_start") != len(uplink.data) or len(data) != expected:
            return [*replies, *self._end_uplink(uplink, "segment_incorrect", 50 * MILLISECOND)]
        uplink = self._uplink = uplink._replace(data=uplink.data + data)
        if len(uplink.data) < uplink.size:
            return [*replies, *self._request_segment(uplink, now)]
        return [*replies, *self._transmit(uplink, now)]

    def _transmit(self, uplink: _Uplink, now: int) -> Replies:
        duration = self.radio.random_us(2, 6) + len(uplink.data) * _BYTE_US
        message = _MESSAGE.parse(uplink.data, size=uplink.size - 2)
        if self.force_status:
            final_status = self.force_status.pop(0)
        elif message.crc != crc_hqx(message.content, 0):
            final_status = "message_dropped_local_crc_error"
        elif not self.radio.try_session(now):
            final_status = "message_expired"
        else:
            final_status = "mo_ack_received"
        if final_status == "mo_ack_received":
            self.messages += 1
            self._gateway.receive(self.serial, self.messages, message.content, now + duration)
            if self.lose_acks:
                self.lose_acks -= 1
                final_status = "message_expired"
        replies = self._end_uplink(uplink, final_status, duration)
        if final_status == "mo_ack_received" and self._gateway.queued_count(self.serial):
            replies += self._send_downlink(uplink.topic, now, duration + 500 * MILLISECOND)
        return replies

    def _end_uplink(self, uplink: _Uplink, final_status: str, delay: int) -> Replies:
        self._uplink, self._uplink_due = None, NEVER
        status = {**uplink.ids(), "final_mo_status": final_status}
        return self._event("messageOriginateStatus", status, delay) + self._activity(False, delay)

    def _cancel(self, fields: Fields, _: int) -> Replies:
        target, uplink = "messageOriginateStatus", self._uplink
        if fields.get("action") != "cancel":
            return [self._message(imt_targets.BAD_JSON, target, {})]
        ids = {"topic_id": fields.get("topic_id"), "message_id": fields.get("message_id")}
        if uplink is None or ids != uplink.ids():
            report: dict[str, Any] = {**ids, "cancellation_response": "message_not_found"}
            return [self._message(imt_targets.NO_ERROR, target, report)]
        report = {**ids, "cancellation_response": "cancelling_message"}
        return [
            self._message(imt_targets.NO_ERROR, target, report),
            *self._end_uplink(uplink, "message_cancelled_pre_transit", 50 * MILLISECOND),
        ]

    # Downlink.

    def _send_downlink(self, topic: int, now: int, delay: int) -> Replies:
        content, _ = self._gateway.run_session(self.serial, 0, b"", now + delay)
        body = _MESSAGE.build({"content": content}, size=len(content))
        self._next_id = self._next_id % 255 + 1
        ids = {"topic_id": topic, "message_id": self._next_id}
        replies = self._event("messageTerminate", {**ids, "message_length_max": len(body)}, delay)
        for start in range(0, len(body), _DOWNLINK_SEGMENT):
            data = body[start : start + _DOWNLINK_SEGMENT]
            fields = {
                **ids,
                "segment_length": len(data),
                "segment_start": start,
                "data": base64.b64encode(data).decode(),
            }
            replies += self._event("messageTerminateSegment", fields, delay)
        final = {**ids, "final_mt_status": "complete"}
        return replies + self._event("messageTerminateStatus", final, delay)

    def deadline(self) -> int:
        """Return the time of the next event without a request."""
        return min(self._sky_check_at, self._uplink_due, self._boot_due)

    def wake(self, now: int) -> Replies:
        """Report a start, the signal, a message whose segment did not come."""
        replies: Replies = []
        if now >= self._boot_due:
            self._boot_due = NEVER
            replies += [] if self.dead else self._event("bootInfo", self.targets.boot_info(), 0)
        if self._uplink is not None and now >= self._uplink_due:
            replies += self._end_uplink(self._uplink, "segment_not_supplied", 0)
        if now >= self._sky_check_at:
            self._sky_check_at = now + _SKY_CHECK_US
            if self.targets.active:
                replies += self._event("constellationState", self._constellation(now), 0)
        return [] if self._is_unresponsive(now) else replies
