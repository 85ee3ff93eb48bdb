# SPDX-License-Identifier: Apache-2.0
"""The port of a controller on the line whose software has another version of the beacon.

Does not emulate that software: only its beacons differ. Those that it sends have the other version,
and those that it receives look to it as if they had. Both have valid codes, so that the version
alone decides. All other frames pass as they are.
"""

from __future__ import annotations

from collections.abc import Callable

from agent.redundancy.beacon import UNITS
from hil.kernel.shared_line import SharedLine
from protocols.modbus.rtu import build_frame
from protocols.signing.hmac_sha256 import hmac

OTHER_VERSION = 9
_HEAD, _BODY, _CODE, _CRC = 11, 12, 4, 2
_READ_WRITE = 23


def with_other_version(key: bytes, frame: bytes) -> bytes:
    """Return a beacon request with `OTHER_VERSION` and a valid code; any other frame unchanged."""
    is_request = len(frame) == _HEAD + _BODY + _CODE + _CRC and frame[1] == _READ_WRITE
    if not is_request or frame[0] not in UNITS.values():
        return frame
    body = bytes((OTHER_VERSION,)) + frame[_HEAD + 1 : _HEAD + _BODY]
    code = hmac(key, frame[:1] + body)[:_CODE]
    return build_frame(frame[0], frame[1:_HEAD] + body + code)


class VersionedPort:
    """The side of a controller on `line`; without `set_other` it changes nothing."""

    def __init__(
        self, line: SharedLine, key: bytes, to_agent: Callable[[bytes], None], rank: int
    ) -> None:
        self._key = key
        self._is_other = False
        self._to_agent = to_agent
        self._port = line.add_master(self._receive, rank)

    def set_other(self, is_other: bool) -> None:
        """Give the controller another version, or the same as its peer."""
        self._is_other = is_other

    def write(self, data: bytes) -> None:
        """Send the bytes of the controller."""
        self._port.write(with_other_version(self._key, data) if self._is_other else data)

    def _receive(self, data: bytes) -> None:
        self._to_agent(with_other_version(self._key, data) if self._is_other else data)

    def set_chunk(self, size: int) -> None:
        """Ignore the chunk: a frame arrives whole."""
