"""An emulated Iridium 9704: JSPR at 230400 baud, messages in segments that the modem asks for.

Frames are described with construct; JSON by Python's own; nothing of ours. The vendor's library
loses what is beyond 1,083 bytes of a segment from the ground, so none is longer here.
"""

from __future__ import annotations

import base64
import json
from binascii import crc_hqx
from typing import Any

from construct import Bytes, Const, ConstructError, GreedyBytes, Int16ub, Rebuild, Struct, this

from hil.devices.base import MILLISECOND, NEVER, SECOND, Replies
from hil.devices.satcom.gateway import MessageGateway
from hil.devices.satcom.modem import Modem
from hil.devices.satcom.radio import Radio

_REQUEST = Struct("verb" / Bytes(3), Const(b" "), "rest" / GreedyBytes)
_MESSAGE = Struct(
    "content" / Bytes(this._.size), "crc" / Rebuild(Int16ub, lambda c: crc_hqx(c.content, 0))
)
_SEGMENT = 1_446
_DOWN_SEGMENT = 1_083
_LOOK = 5 * SECOND
_US_A_BYTE = 1_200
"""6.7 kbit/s: 100 kB in about two minutes, as the vendor says."""


class ImtModem(Modem):
    """One modem. Faults:

    dead            says nothing
    force_status    final_mo_status words of the next messages, in order
    lose_acks       so many messages arrive and end with `message_expired`
    junk_at         a line of junk before every answer
    reset_next      restarts when the next segment comes
    """

    boot_us = 8 * SECOND

    def __init__(
        self, radio: Radio, gateway: MessageGateway, serial: str = "300258060000010"
    ) -> None:
        super().__init__(radio, gateway, serial)
        self.force_status: list[str] = []
        self.lose_acks = 0
        self.junk_at = False
        self.reset_next = False
        self.messages = 0

    def _clear(self) -> None:
        super()._clear()
        self._active = False
        self._up: dict[str, Any] | None = None
        self._down: dict[str, Any] | None = None
        self._next_id = 0

    def receive(self, data: bytes, now: int) -> Replies:
        """Take bytes."""
        if self._deaf(now):
            return []
        lines = (self._buffer + data).split(b"\r")
        self._buffer = lines[-1][-8192:]
        replies: Replies = []
        for line in lines[:-1]:
            replies += self._request(line.strip(), now)
            if self._deaf(now):
                break
        return replies

    def _say(
        self, code: int, target: str, fields: dict[str, Any], delay: int = 5 * MILLISECOND
    ) -> tuple[int, bytes]:
        text = json.dumps(fields, separators=(",", ":"))
        junk = b"\x00junk {\r" if self.junk_at else b""
        return delay, junk + f"{code} {target} {text}\r".encode()

    def _request(self, line: bytes, now: int) -> Replies:
        try:
            frame = _REQUEST.parse(line)
            target, _, text = frame.rest.decode().partition(" ")
            fields = json.loads(text)
        except (ValueError, ConstructError):
            return [self._say(405, "unknown", {})] if line else []
        return self._answer(frame.verb == b"PUT", target, fields, now)

    def _answer(self, put: bool, target: str, fields: dict[str, Any], now: int) -> Replies:
        if target == "apiVersion":
            version = {"major": 1, "minor": 0, "patch": 0}
            return [self._say(200, target, {"supported_versions": [version]})]
        if target == "simConfig":
            status = self._say(299, "simStatus", {"card_present": True}, 200 * MILLISECOND)
            return [self._say(200, target, {"interface": "internal"}), status]
        if target == "operationalState":
            if put:
                self._active = fields.get("state") == "active"
                self._look_at = now + SECOND if self._active else NEVER
            state = "active" if self._active else "inactive"
            return [self._say(200, target, {"state": state, "reason": 0})]
        if target == "constellationState":
            return [self._say(200, target, self._constellation(now))]
        if target == "messageOriginate":
            return self._originate(fields)
        if target == "messageOriginateSegment":
            return self._segment(fields, now)
        return [self._say(402, target, {})]

    def _constellation(self, now: int) -> dict[str, Any]:
        bars = self.radio.bars(now) if self._active else 0
        return {"constellation_visible": bars > 0, "signal_bars": bars, "signal_level": -110}

    def _originate(self, fields: dict[str, Any]) -> Replies:
        reference = fields.get("request_reference")
        if not self._active or self._up is not None:
            answer = {"request_reference": reference, "message_response": "message_queue_full"}
            return [self._say(200, "messageOriginate", answer)]
        self._next_id = self._next_id % 255 + 1
        self._up = {"id": self._next_id, "size": fields["message_length"], "data": b""}
        topic = {"topic_id": fields["topic_id"], "message_id": self._next_id}
        accepted = {"request_reference": reference, "message_response": "message_accepted"}
        self._up["topic"] = fields["topic_id"]
        return [
            self._say(200, "messageOriginate", {**topic, **accepted}),
            self._ask(self._up),
        ]

    def _ask(self, up: dict[str, Any], delay: int = 50 * MILLISECOND) -> tuple[int, bytes]:
        start = len(up["data"])
        fields = {
            "topic_id": up["topic"],
            "message_id": up["id"],
            "segment_length": min(_SEGMENT, up["size"] - start),
            "segment_start": start,
        }
        return self._say(299, "messageOriginateSegment", fields, delay)

    def _segment(self, fields: dict[str, Any], now: int) -> Replies:
        up = self._up
        if up is None or fields.get("message_id") != up["id"]:
            return [self._say(400, "messageOriginateSegment", {})]
        if self.reset_next:
            self.reset_next = False
            self.reset(now)
            return []
        data = base64.b64decode(fields["data"])
        if fields["segment_start"] == len(up["data"]):
            up["data"] += data
        answer = {"topic_id": up["topic"], "message_id": up["id"], "response": "ok"}
        replies = [self._say(200, "messageOriginateSegment", answer)]
        if len(up["data"]) < up["size"]:
            return [*replies, self._ask(up)]
        self._up = None
        takes = self.radio.seconds(2, 6) + len(up["data"]) * _US_A_BYTE
        return [*replies, *self._finish(up, now, takes)]

    def _finish(self, up: dict[str, Any], now: int, takes: int) -> Replies:
        got = _MESSAGE.parse(up["data"], size=up["size"] - 2)
        if self.force_status:
            word = self.force_status.pop(0)
        elif got.crc != crc_hqx(got.content, 0):
            word = "crc_error"
        elif not self.radio.through(now):
            word = "message_expired"
        else:
            word = "mo_ack_received"
        if word == "mo_ack_received":
            self.messages += 1
            self._gateway.take(self.serial, self.messages, got.content, now + takes)
            if self.lose_acks:
                self.lose_acks -= 1
                word = "message_expired"
        status = {"topic_id": up["topic"], "message_id": up["id"], "final_mo_status": word}
        replies = [self._say(299, "messageOriginateStatus", status, takes)]
        if word == "mo_ack_received" and self._gateway.queued(self.serial):
            replies += self._downward(up["topic"], now, takes + 500 * MILLISECOND)
        return replies

    def _downward(self, topic: int, now: int, delay: int) -> Replies:
        content, _ = self._gateway.session(self.serial, 0, b"", now + delay)
        body = _MESSAGE.build({"content": content}, size=len(content))
        self._next_id = self._next_id % 255 + 1
        ids = {"topic_id": topic, "message_id": self._next_id}
        replies = [
            self._say(299, "messageTerminate", {**ids, "message_length_max": 100_000}, delay)
        ]
        for start in range(0, len(body), _DOWN_SEGMENT):
            data = body[start : start + _DOWN_SEGMENT]
            fields = {
                **ids,
                "segment_length": len(data),
                "segment_start": start,
                "data": base64.b64encode(data).decode(),
            }
            replies.append(self._say(299, "messageTerminateSegment", fields, delay))
        final = {**ids, "final_mt_status": "complete"}
        return [*replies, self._say(299, "messageTerminateStatus", final, delay)]

    def wake(self, now: int) -> Replies:
        """Tell of the sky unasked."""
        if now < self._look_at:
            return []
        self._look_at = now + _LOOK
        if self._deaf(now) or not self._active:
            return []
        return [self._say(299, "constellationState", self._constellation(now), 0)]
