# SPDX-License-Identifier: Apache-2.0
"""The reasons for which a confirmed request is rejected (ANSI/ASHRAE 135, clause 18.8).

Knows the parameters of the services that the device executes (clauses 13 to 15), not their effect:
what is well formed goes on, and the service answers. bacpypes3 tells no reason if it cannot decode
a request, and accepts arguments after the last one.

The tags of a request (clause 20.2.1) are compared with the parameters of its service in order:

    an unknown service, or one that the device does not execute   unrecognized-service
    a truncated tag, a wrong tag, tags that do not match          invalid-tag
    a mandatory parameter is missing                              missing-required-parameter
    a value of the wrong length                                   invalid-parameter-data-type
    an unsigned above its range                                   parameter-out-of-range
    an enumeration that ASHRAE has not defined                    undefined-enumeration
    a conditional parameter without the other one                 inconsistent-parameters
    more after the last parameter                                 too-many-arguments

No request of one datagram is longer than the buffer, so buffer-overflow and other are not used.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bacpypes3.apdu import RejectPDU
from bacpypes3.comm import Client, Server
from bacpypes3.pdu import PDU

from deploy.northbound.access.types import AuditSink
from deploy.northbound.bacnet.clients import peer_of

INCONSISTENT, DATA_TYPE, INVALID_TAG, MISSING, OUT_OF_RANGE, TOO_MANY, UNDEFINED, UNRECOGNIZED = (
    range(2, 10)
)
"""BACnetRejectReason."""
_CHANGING = {
    0: "acknowledge",
    7: "atomic-write-file",
    8: "add-list-element",
    9: "remove-list-element",
    10: "create-object",
    11: "delete-object",
    15: "write",
    16: "write",
    17: "device-communication-control",
    20: "reinitialize-device",
    27: "life-safety-operation",
}
"""Services that would change the device; the audit log has each attempt."""
_CHANGING_UNCONFIRMED = {6: "time-synchronization", 9: "time-synchronization", 10: "write-group"}
"""The same without a reply."""
_CONFIRMED, _UNCONFIRMED = 0, 1
_SEGMENTED, _HEADER_BYTES, _SEGMENTED_BYTES = 0x08, 4, 6
_APPLICATION, _CONTEXT, _OPENING, _CLOSING = range(4)
_MAX_TAGS = 1500
_LIST, _VALUE, _TIME_STAMP, _RANGE = "list", "value", "time stamp", "range"
_UNSIGNED, _ENUMERATED, _OBJECT, _BOOLEAN, _TEXT, _INTEGER = (
    "unsigned", "enumerated", "object", "boolean", "text", "integer",
)  # fmt: skip
_UNSIGNED_MAX = (1 << 32) - 1
_PROPERTY_MAX = 4_194_303
_PROPERTIES = (range(_PROPERTY_MAX + 1),)
_EVENT_STATES = (range(6), range(64, 65_536))
"""Defined by ASHRAE; of a vendor."""
_SUBSCRIBE_COV, _IS_CONFIRMED, _LIFETIME = 5, 2, 3
_EXTENDED_NUMBER, _EXTENDED_LENGTH, _OPENS, _CLOSES = 15, 5, 6, 7
_LENGTH_BYTES = {254: 2, 255: 4}
_BOOLEAN_TAG = 1


class RejectError(Exception):
    """A request that is rejected."""

    def __init__(self, reason: int) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag: its class, its number, its bytes."""

    kind: int
    number: int
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter with a context tag. `members`: of the entries of a list."""

    number: int
    kind: str
    required: bool = True
    defined: Sequence[range] = ()
    members: tuple["Parameter", ...] = ()


_OBJECT_0 = Parameter(0, _OBJECT)
_PROPERTY_1 = Parameter(1, _ENUMERATED, defined=_PROPERTIES)
_INDEX_2 = Parameter(2, _UNSIGNED, required=False)
_REFERENCE = (
    Parameter(0, _ENUMERATED, defined=_PROPERTIES),
    Parameter(1, _UNSIGNED, required=False),
)
_ASSIGNMENT = (*_REFERENCE, Parameter(2, _VALUE), Parameter(3, _INTEGER, required=False))
_ACKNOWLEDGE = (
    Parameter(0, _UNSIGNED),
    Parameter(1, _OBJECT),
    Parameter(2, _ENUMERATED, defined=_EVENT_STATES),
    Parameter(3, _TIME_STAMP),
    Parameter(4, _TEXT),
    Parameter(5, _TIME_STAMP),
)
_SUBSCRIBE = (
    Parameter(0, _UNSIGNED),
    Parameter(1, _OBJECT),
    Parameter(2, _BOOLEAN, required=False),
    Parameter(3, _UNSIGNED, required=False),
)
SERVICES = {
    0: _ACKNOWLEDGE,
    5: _SUBSCRIBE,
    12: (_OBJECT_0, _PROPERTY_1, _INDEX_2),
    14: (_OBJECT_0, Parameter(1, _LIST, members=_REFERENCE)),
    15: (
        _OBJECT_0, _PROPERTY_1, _INDEX_2,
        Parameter(3, _VALUE), Parameter(4, _INTEGER, required=False),
    ),
    16: (_OBJECT_0, Parameter(1, _LIST, members=_ASSIGNMENT)),
    26: (_OBJECT_0, _PROPERTY_1, _INDEX_2, Parameter(-1, _RANGE, required=False)),
    29: (Parameter(0, _OBJECT, required=False),),
}  # fmt: skip
"""Parameters of the confirmed services that the device executes, by service choice."""
_REPEATED = (14, 16)
"""Services whose request is a list of such parameters."""
_RANGES = (3, 6, 7)  # by position, by sequence number, by time


def check_request(service: int, data: bytes) -> None:
    """Raise RejectError if a confirmed request is rejected. `data`: bytes after the choice."""
    parameters = SERVICES.get(service)
    if parameters is None:
        raise RejectError(UNRECOGNIZED)
    tags = _read_tags(data)
    at = _match(tags, 0, parameters)
    while service in _REPEATED and at < len(tags):
        at = _match(tags, at, parameters)
    if at < len(tags):
        known = {parameter.number for parameter in parameters}
        is_misplaced = tags[at].kind != _CONTEXT or tags[at].number in known
        raise RejectError(INVALID_TAG if is_misplaced else TOO_MANY)
    numbers = {tag.number for tag in tags}
    if service == _SUBSCRIBE_COV and _LIFETIME in numbers and _IS_CONFIRMED not in numbers:
        raise RejectError(INCONSISTENT)


def _match(tags: list[Tag], at: int, parameters: tuple[Parameter, ...]) -> int:
    """Compare tags from `at` with parameters; return the place after them."""
    for position, parameter in enumerate(parameters):
        if at < len(tags) and _begins(tags[at], parameter):
            at = _match_one(tags, at, parameter)
        elif parameter.required:
            later = parameters[position + 1 :]
            is_skipped = at == len(tags) or tags[at].kind == _CLOSING
            if is_skipped or any(_begins(tags[at], other) for other in later):
                raise RejectError(MISSING)
            raise RejectError(INVALID_TAG)
    return at


def _begins(tag: Tag, parameter: Parameter) -> bool:
    if tag.kind not in (_CONTEXT, _OPENING):
        return False
    if parameter.kind == _RANGE:
        return tag.number in _RANGES
    return tag.number == parameter.number


def _match_one(tags: list[Tag], at: int, parameter: Parameter) -> int:
    tag = tags[at]
    is_constructed = parameter.kind in (_LIST, _VALUE, _TIME_STAMP, _RANGE)
    if (tag.kind == _OPENING) != is_constructed:
        raise RejectError(INVALID_TAG)
    if not is_constructed:
        _check_value(tag.data, parameter)
        return at + 1
    end = _closing_of(tags, at)
    if end == at + 1:  # nothing between the tags
        raise RejectError(MISSING)
    if parameter.kind == _LIST:
        inner = at + 1
        while inner < end:
            inner = _match(tags, inner, parameter.members)
    return end + 1


def _check_value(data: bytes, parameter: Parameter) -> None:
    """Check the length and the value of a primitive (clauses 20.2.3 to 20.2.14)."""
    kind = parameter.kind
    lengths = {_OBJECT: range(4, 5), _BOOLEAN: range(1, 2), _TEXT: range(1, 1500)}
    if len(data) not in lengths.get(kind, range(1, 9)):
        raise RejectError(DATA_TYPE)
    number = int.from_bytes(data, "big")
    if kind == _UNSIGNED and number > _UNSIGNED_MAX:
        raise RejectError(OUT_OF_RANGE)
    if kind == _BOOLEAN and number > 1:
        raise RejectError(DATA_TYPE)
    if parameter.defined and not any(number in values for values in parameter.defined):
        raise RejectError(UNDEFINED)


def _closing_of(tags: list[Tag], at: int) -> int:
    """Return the place of the tag that closes the one at `at`; `_read_tags` has paired them."""
    depth = 0
    for place in range(at, len(tags)):
        depth += {_OPENING: 1, _CLOSING: -1}.get(tags[place].kind, 0)
        if depth == 0:
            return place
    raise RejectError(INVALID_TAG)


def _read_tags(data: bytes) -> list[Tag]:
    """Return the tags of a request (clause 20.2.1). Raises RejectError: not well formed."""
    tags: list[Tag] = []
    opened: list[int] = []
    at = 0
    while at < len(data):
        tag, at = _read_tag(data, at)
        if tag.kind == _OPENING:
            opened.append(tag.number)
        elif tag.kind == _CLOSING and (not opened or opened.pop() != tag.number):
            raise RejectError(INVALID_TAG)
        tags.append(tag)
        if len(tags) > _MAX_TAGS:
            raise RejectError(TOO_MANY)
    if opened:
        raise RejectError(INVALID_TAG)
    return tags


def _read_tag(data: bytes, at: int) -> tuple[Tag, int]:
    first, at = data[at], at + 1
    number, kind, length = first >> 4, first >> 3 & 1, first & 7
    if number == _EXTENDED_NUMBER:
        number, at = _read_number(data, at, 1)
    if kind == _CONTEXT and length in (_OPENS, _CLOSES):
        return Tag(_OPENING if length == _OPENS else _CLOSING, number), at
    if length > _EXTENDED_LENGTH:  # reserved for application tags
        raise RejectError(INVALID_TAG)
    if length == _EXTENDED_LENGTH:
        length, at = _read_number(data, at, 1)
        if length in _LENGTH_BYTES:
            length, at = _read_number(data, at, _LENGTH_BYTES[length])
    if kind == _APPLICATION and number == _BOOLEAN_TAG:  # its value is in the length
        length = 0
    if at + length > len(data):
        raise RejectError(INVALID_TAG)
    return Tag(kind, number, data[at : at + length]), at + length


def _read_number(data: bytes, at: int, count: int) -> tuple[int, int]:
    if at + count > len(data):
        raise RejectError(INVALID_TAG)
    return int.from_bytes(data[at : at + count], "big"), at + count


class RequestCheck(Client[PDU], Server[PDU]):
    """Stage between network and application that rejects requests; bind it between both."""

    def __init__(self, audit: AuditSink, protocol: str, executed: Callable[[], int]) -> None:
        Client.__init__(self)
        Server.__init__(self)
        self._audit, self._protocol, self._executed = audit, protocol, executed

    async def indication(self, pdu: PDU) -> None:
        """Pass a message of the application on."""
        await self.request(pdu)

    async def confirmation(self, pdu: PDU) -> None:
        """Pass a message of a client on, or reject it. Segments go on: they are aborted there."""
        data = bytes(pdu.pduData)
        kind = data[0] >> 4 if data else None
        if kind == _UNCONFIRMED and len(data) > 1:
            self._record(pdu, _CHANGING_UNCONFIRMED.get(data[1]), "not executed")
        if kind != _CONFIRMED:
            await self.response(pdu)
        elif data[0] & _SEGMENTED:
            if len(data) >= _SEGMENTED_BYTES and data[3] == 0:  # the first segment
                self._record(pdu, _CHANGING.get(data[5]), "segmented")
            await self.response(pdu)
        elif len(data) < _HEADER_BYTES:
            await self.response(pdu)
        else:
            await self._check(pdu, data)

    async def _check(self, pdu: PDU, data: bytes) -> None:
        """Reject a request, or pass it on and see that the service has been executed."""
        try:
            check_request(data[3], data[_HEADER_BYTES:])
        except RejectError as error:
            self._record(pdu, _CHANGING.get(data[3]), f"reject {error.reason}")
            reject = RejectPDU(invoke_id=data[2], reason=error.reason)
            reject.pduDestination = pdu.pduSource
            await self.request(reject.encode())
            return
        before = self._executed()
        await self.response(pdu)
        if self._executed() == before:
            self._record(pdu, _CHANGING.get(data[3]), "not decoded")

    def _record(self, pdu: PDU, action: str | None, reason: str) -> None:
        """Record an attempt to change the device. `action` None: the service changes nothing."""
        if action is not None:
            peer, result = peer_of(pdu), f"refused: {reason}"
            self._audit.record(peer.user, peer.host, self._protocol, action, "", result)
