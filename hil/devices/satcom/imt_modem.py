# SPDX-License-Identifier: Apache-2.0
"""An emulated Iridium 9704: JSPR at 230400 baud, messages in segments that the modem requests.

construct describes the frames and Python's own package reads JSON; no code is shared with the
agent. The vendor's library loses the part of a downlink segment beyond 1,083 bytes. So no segment
is longer here.
"""

from __future__ import annotations

import base64
import json
from binascii import crc_hqx
from typing import Any

from construct import Bytes, Const, ConstructError, GreedyBytes, Int16ub, Rebuild, Struct, this

from hil.devices.base import MILLISECOND, NEVER, SECOND, Replies
from hil.devices.satcom.gateway import MessageGateway
from hil.devices.satcom.modem import EmulatedModem
from hil.devices.satcom.radio import Radio

_REQUEST = Struct("verb" / Bytes(3), Const(b" "), "rest" / GreedyBytes)
_MESSAGE = Struct(
    "content" / Bytes(this._.size), "crc" / Rebuild(Int16ub, lambda c: crc_hqx(c.content, 0))
)
_SEGMENT = 1_446
_DOWNLINK_SEGMENT = 1_083
_SKY_CHECK_US = 5 * SECOND
_BYTE_US = 1_200
"""6.7 kbit/s: 100 kB in about two minutes, as the vendor states."""


class ImtModem(EmulatedModem):
    """One modem. Faults:

    dead                 the modem sends nothing
    force_status         final_mo_status of the next messages, in order
    lose_acks            number of messages that arrive but end with `message_expired`
    junk_before_answers  a line of invalid bytes before every answer
    reset_next           the modem restarts at the next segment
    """

    FAULTS = EmulatedModem.FAULTS | {"lose_acks", "junk_before_answers", "reset_next"}
    boot_us = 8 * SECOND

    def __init__(
        self, radio: Radio, gateway: MessageGateway, serial: str = "300258060000010"
    ) -> None:
        super().__init__(radio, gateway, serial)
        self.force_status: list[str] = []
        self.lose_acks = 0
        self.junk_before_answers = False
        self.reset_next = False
        self.messages = 0

    def _clear_state(self) -> None:
        super()._clear_state()
        self._active = False
        self._uplink: dict[str, Any] | None = None
        self._downlink: dict[str, Any] | None = None
        self._next_id = 0

    def receive(self, data: bytes, now: int) -> Replies:
        """Process received bytes."""
        if self._is_unresponsive(now):
            return []
        lines = (self._buffer + data).split(b"\r")
        self._buffer = lines[-1][-8192:]
        replies: Replies = []
        for line in lines[:-1]:
            replies += self._handle_request(line.strip(), now)
            if self._is_unresponsive(now):
                break
        return replies

    def _message(
        self, code: int, target: str, fields: dict[str, Any], delay: int = 5 * MILLISECOND
    ) -> tuple[int, bytes]:
        text = json.dumps(fields, separators=(",", ":"))
        junk = b"\x00junk {\r" if self.junk_before_answers else b""
        return delay, junk + f"{code} {target} {text}\r".encode()

    def _handle_request(self, line: bytes, now: int) -> Replies:
        try:
            frame = _REQUEST.parse(line)
            target, _, text = frame.rest.decode().partition(" ")
            fields = json.loads(text)
        except (ValueError, ConstructError):
            return [self._message(405, "unknown", {})] if line else []
        return self._answer(frame.verb == b"PUT", target, fields, now)

    def _answer(self, put: bool, target: str, fields: dict[str, Any], now: int) -> Replies:
        if target == "apiVersion":
            version = {"major": 1, "minor": 0, "patch": 0}
            return [self._message(200, target, {"supported_versions": [version]})]
        if target == "simConfig":
            status = self._message(299, "simStatus", {"card_present": True}, 200 * MILLISECOND)
            return [self._message(200, target, {"interface": "internal"}), status]
        if target == "operationalState":
            if put:
                self._active = fields.get("state") == "active"
                self._sky_check_at = now + SECOND if self._active else NEVER
            state = "active" if self._active else "inactive"
            return [self._message(200, target, {"state": state, "reason": 0})]
        if target == "constellationState":
            return [self._message(200, target, self._constellation(now))]
        if target == "messageOriginate":
            return self._originate(fields)
        if target == "messageOriginateSegment":
            return self._receive_segment(fields, now)
        return [self._message(402, target, {})]

    def _constellation(self, now: int) -> dict[str, Any]:
        bars = self.radio.bars(now) if self._active else 0
        return {"constellation_visible": bars > 0, "signal_bars": bars, "signal_level": -110}

    def _originate(self, fields: dict[str, Any]) -> Replies:
        reference = fields.get("request_reference")
        if not self._active or self._uplink is not None:
            answer = {"request_reference": reference, "message_response": "message_queue_full"}
            return [self._message(200, "messageOriginate", answer)]
        self._next_id = self._next_id % 255 + 1
        self._uplink = {"id": self._next_id, "size": fields["message_length"], "data": b""}
        topic = {"topic_id": fields["topic_id"], "message_id": self._next_id}
        accepted = {"request_reference": reference, "message_response": "message_accepted"}
        self._uplink["topic"] = fields["topic_id"]
        return [
            self._message(200, "messageOriginate", {**topic, **accepted}),
            self._request_segment(self._uplink),
        ]

    def _request_segment(
        self, uplink: dict[str, Any], delay: int = 50 * MILLISECOND
    ) -> tuple[int, bytes]:
        start = len(uplink["data"])
        fields = {
            "topic_id": uplink["topic"],
            "message_id": uplink["id"],
            "segment_length": min(_SEGMENT, uplink["size"] - start),
            "segment_start": start,
        }
        return self._message(299, "messageOriginateSegment", fields, delay)

    def _receive_segment(self, fields: dict[str, Any], now: int) -> Replies:
        uplink = self._uplink
        if uplink is None or fields.get("message_id") != uplink["id"]:
            return [self._message(400, "messageOriginateSegment", {})]
        if self.reset_next:
            self.reset_next = False
            self.reset(now)
            return []
        data = base64.b64decode(fields["data"])
        if fields["segment_start"] == len(uplink["data"]):
            uplink["data"] += data
        answer = {"topic_id": uplink["topic"], "message_id": uplink["id"], "response": "ok"}
        replies = [self._message(200, "messageOriginateSegment", answer)]
        if len(uplink["data"]) < uplink["size"]:
            return [*replies, self._request_segment(uplink)]
        self._uplink = None
        duration = self.radio.random_us(2, 6) + len(uplink["data"]) * _BYTE_US
        return [*replies, *self._finish_uplink(uplink, now, duration)]

    def _finish_uplink(self, uplink: dict[str, Any], now: int, duration: int) -> Replies:
        message = _MESSAGE.parse(uplink["data"], size=uplink["size"] - 2)
        if self.force_status:
            final_status = self.force_status.pop(0)
        elif message.crc != crc_hqx(message.content, 0):
            final_status = "crc_error"
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
        status = {
            "topic_id": uplink["topic"],
            "message_id": uplink["id"],
            "final_mo_status": final_status,
        }
        replies = [self._message(299, "messageOriginateStatus", status, duration)]
        if final_status == "mo_ack_received" and self._gateway.queued_count(self.serial):
            replies += self._send_downlink(uplink["topic"], now, duration + 500 * MILLISECOND)
        return replies

    def _send_downlink(self, topic: int, now: int, delay: int) -> Replies:
        content, _ = self._gateway.run_session(self.serial, 0, b"", now + delay)
        body = _MESSAGE.build({"content": content}, size=len(content))
        self._next_id = self._next_id % 255 + 1
        ids = {"topic_id": topic, "message_id": self._next_id}
        replies = [
            self._message(299, "messageTerminate", {**ids, "message_length_max": 100_000}, delay)
        ]
        for start in range(0, len(body), _DOWNLINK_SEGMENT):
            data = body[start : start + _DOWNLINK_SEGMENT]
            fields = {
                **ids,
                "segment_length": len(data),
                "segment_start": start,
                "data": base64.b64encode(data).decode(),
            }
            replies.append(self._message(299, "messageTerminateSegment", fields, delay))
        final = {**ids, "final_mt_status": "complete"}
        return [*replies, self._message(299, "messageTerminateStatus", final, delay)]

    def wake(self, now: int) -> Replies:
        """Report the signal without a request."""
        if now < self._sky_check_at:
            return []
        self._sky_check_at = now + _SKY_CHECK_US
        if self._is_unresponsive(now) or not self._active:
            return []
        return [self._message(299, "constellationState", self._constellation(now), 0)]
