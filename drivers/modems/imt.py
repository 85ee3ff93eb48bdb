"""Iridium 9704: messages of up to 100,000 bytes, spoken to in JSPR at 230400 8N1.

    set up   apiVersion -> simConfig internal -> simStatus -> operationalState active
    send     messageOriginate -> the modem asks for segments -> messageOriginateStatus
    down     messageTerminate, …Segment, …Status, all unsolicited

The vendor's library holds 1,446 base64 characters of a segment; what comes in larger ones is cut
off silently. So contents are compared by CRC, never by length. Sources: see protocols.modem.jspr.
"""

from drivers.modems.base import POLL, Modem
from protocols.modem import jspr, sbd
from protocols.time_units import NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Fields = list[tuple[str, object]]
    Take = Callable[[dict[str, Any], int], None]

TOPIC = 244
"""Cloudloop's topic RAW."""
_ANSWER = 3 * SECOND
_MESSAGE = 300 * SECOND
_PAUSE = 5 * SECOND
_SILENCES = 3
_MOST_DOWN = 4096
"""Bytes of a message from the ground that are kept; longer ones are dropped and counted."""

_SET_UP: "tuple[tuple[str, str, Fields], ...]" = (
    ("GET", "apiVersion", []),
    (
        "PUT",
        "apiVersion",
        [("active_version", None)],
    ),
    ("PUT", "simConfig", [("interface", "internal")]),
    ("PUT", "operationalState", [("state", "active")]),
    ("GET", "constellationState", []),
)
_VERSION = '{"major":1,"minor":0,"patch":0}'


class Imt(Modem):
    """One modem; `settings["topic"]` is where messages go (244)."""

    largest = jspr.LARGEST

    def __init__(self, port: int, settings: "dict[str, Any]") -> None:
        Modem.__init__(self, port, settings)
        self.reader = jspr.Reader()
        self._step = 0
        self._limit = NEVER
        self._again = NEVER
        self._poll_due = NEVER
        self._silences = 0
        self._topic = int(settings.get("topic", TOPIC))
        self._body = b""
        self._tag = 0
        self._reference = 0
        self._message_id: object = None
        self._message_due = NEVER
        self._down: dict[str, Any] | None = None
        self._targets: dict[str, Take] = {
            "constellationState": self._constellation,
            "operationalState": self._state,
            "messageOriginate": self._originated,
            "messageOriginateSegment": self._segment,
            "messageOriginateStatus": self._status,
            "messageTerminate": self._down_begins,
            "messageTerminateSegment": self._down_segment,
            "messageTerminateStatus": self._down_ends,
        }

    def event(self, kind: str, now: int) -> None:
        """Take an event of the port."""
        if kind == "opened":
            self._open = True
            self._set_up(now)
        elif kind in ("closed", "failed"):
            self._open = False
            self._lose(now)
            self._arm()

    def _set_up(self, now: int) -> None:
        self._lose(now)
        self._step = 0
        self._again = NEVER
        self._next_step(now)

    def _next_step(self, now: int) -> None:
        if self._step < len(_SET_UP):
            verb, target, fields = _SET_UP[self._step]
            if target == "apiVersion" and verb == "PUT":
                self._out.append(b'PUT apiVersion {"active_version":%s}\r' % _VERSION.encode())
            else:
                self._out.append(jspr.request(verb, target, fields))
            self._limit = now + _ANSWER
        else:
            self._limit = NEVER
            self.ready = True
            self.say("ready", True)
            self._poll_due = now + POLL
        self._arm()

    def _lose(self, now: int) -> None:
        self.reader.reset()
        self._limit = self._poll_due = NEVER
        self._down = None
        if self.ready:
            self.ready = False
            self.resets += 1
            self.say("ready", False)
        if self.busy:
            self._ended(sbd.RETRY, "the modem was lost", now)

    def _arm(self) -> None:
        self._due = min(self._limit, self._again, self._poll_due, self._message_due)

    def receive(self, data: bytes, now: int) -> None:
        """Take bytes of the modem."""
        for code, target, fields in self.reader.feed(data):
            self._silences = 0
            if code == 200 and not self.ready and self._step < len(_SET_UP):
                if target == _SET_UP[self._step][1]:
                    self._step += 1
                    self._take(target, fields, now)
                    self._next_step(now)
            elif code in (200, jspr.UNSOLICITED):
                self._limit = NEVER
                self._take(target, fields, now)
            else:
                self._refused(code, target, now)
        self._arm()

    def _take(self, target: str, fields: "dict[str, Any]", now: int) -> None:
        take = self._targets.get(target)
        if take is not None:
            take(fields, now)

    def _refused(self, code: int, target: str, now: int) -> None:
        self.faults += 1
        if not self.ready:
            self._limit = NEVER
            self._again = now + _PAUSE
        elif self.busy and target.startswith("messageOriginate"):
            self._ended(sbd.RETRY, "%d to %s" % (code, target), now)

    def wake(self, now: int) -> None:
        """Take the passing of a deadline."""
        if now >= self._limit:
            self._limit = NEVER
            self._silences += 1
            if not self.ready or self._silences >= _SILENCES:
                self._silences = 0
                self._lose(now)
                self._again = now + _PAUSE
        if now >= self._message_due:
            self._ended(sbd.RETRY, "no end of the message", now)
        if now >= self._again and self._open:
            self._set_up(now)
        if now >= self._poll_due:
            self._poll_due = now + POLL
            if self._radio:
                self._out.append(jspr.request("GET", "operationalState", []))
                self._out.append(jspr.request("GET", "constellationState", []))
                self._limit = min(self._limit, now + _ANSWER)
        self._arm()

    def radio(self, on: bool, now: int) -> None:
        """Wake or sleep (operationalState)."""
        self._radio = on
        if self.ready:
            word = "active" if on else "inactive"
            self._out.append(jspr.request("PUT", "operationalState", [("state", word)]))
            if not on:
                self.say("service", False)

    def _state(self, fields: "dict[str, Any]", now: int) -> None:
        """Notice a modem that has restarted: it is not active any more."""
        if self.ready and self._radio and fields.get("state") == "inactive":
            self._set_up(now)

    def _constellation(self, fields: "dict[str, Any]", now: int) -> None:
        bars = fields.get("signal_bars")
        if type(bars) is int and 0 <= bars <= 5:
            self.say("signal", bars)
        self.say("service", fields.get("constellation_visible") is True)

    # Up.

    def send(self, content: bytes, tag: int, now: int) -> bool:
        """Begin to send one datagram."""
        if self.busy or not self.ready or not self._radio or not content:
            return False
        self.busy = True
        self._body = jspr.framed(content)
        self._tag = tag
        self._reference = self._reference % 99 + 1
        self._message_id = None
        self._message_due = now + _MESSAGE
        self.say("onair", True)
        self._out.append(
            jspr.request(
                "PUT",
                "messageOriginate",
                [
                    ("topic_id", self._topic),
                    ("message_length", len(self._body)),
                    ("request_reference", self._reference),
                ],
            )
        )
        self._arm()
        return True

    def _originated(self, fields: "dict[str, Any]", now: int) -> None:
        if not self.busy or fields.get("request_reference") != self._reference:
            return
        response = fields.get("message_response")
        if response == "message_accepted":
            self._message_id = fields.get("message_id")
        else:
            self._ended(jspr.FINAL.get(str(response), sbd.RETRY), str(response), now)

    def _ours(self, fields: "dict[str, Any]") -> bool:
        return self.busy and fields.get("message_id") == self._message_id is not None

    def _segment(self, fields: "dict[str, Any]", now: int) -> None:
        start, length = fields.get("segment_start"), fields.get("segment_length")
        if not self._ours(fields) or "data" in fields or "response" in fields:
            return
        if type(start) is not int or type(length) is not int:
            return
        if not 0 <= start < start + length <= len(self._body) or length > jspr.SEGMENT:
            self.faults += 1
            return
        data = self._body[start : start + length]
        self._out.append(
            jspr.request(
                "PUT",
                "messageOriginateSegment",
                [
                    ("topic_id", self._topic),
                    ("message_id", self._message_id),
                    ("segment_length", length),
                    ("segment_start", start),
                    ("data", jspr.base64(data)),
                ],
            )
        )

    def _status(self, fields: "dict[str, Any]", now: int) -> None:
        if self._ours(fields):
            final = str(fields.get("final_mo_status"))
            self._ended(jspr.FINAL.get(final, sbd.RETRY), final, now)

    def _ended(self, word: str, why: str, now: int) -> None:
        self.busy = False
        self._message_due = NEVER
        self.say("onair", False)
        if word == sbd.SENT:
            self.say("sent", self._tag)
        else:
            self.say("unsent", self._tag, word, why, True)

    # Down.

    def _down_begins(self, fields: "dict[str, Any]", now: int) -> None:
        self._down = {"id": fields.get("message_id"), "data": b""}

    def _down_segment(self, fields: "dict[str, Any]", now: int) -> None:
        down = self._down
        data = jspr.unbase64(fields.get("data"))
        if down is None or data is None or fields.get("message_id") != down["id"]:
            return
        if fields.get("segment_start") != len(down["data"]):
            self._down = None
        elif len(down["data"]) + len(data) > _MOST_DOWN:
            self.faults += 1
            self._down = None
        else:
            down["data"] += data

    def _down_ends(self, fields: "dict[str, Any]", now: int) -> None:
        down, self._down = self._down, None
        if down is None or fields.get("message_id") != down["id"]:
            return
        content = jspr.unframed(down["data"])
        if content is None or fields.get("final_mt_status") != "complete":
            self.faults += 1
        elif content:
            self.say("received", content)
