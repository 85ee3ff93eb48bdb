# SPDX-License-Identifier: Apache-2.0
"""Is the first reply of a unit one to this request, or to one of an earlier program?

A device, or a gateway that gives its late replies the newest transaction number, can be one reply
behind. Neither a value nor an exception shows it. What decides:

- A value: a *different read* follows, whose good reply has another length or function. A device
  that is one behind answers it with the reply to the request before, which does not fit.
- An exception to the different read does not decide: it can be the one to the first read. The first
  read is repeated. A value shows that the device is in step; one that is behind now has the reply
  to the different read, which is no value of this length.
- An exception: the request is repeated. Its second reply is one to it, in step or one behind. The
  unit stays unconfirmed, so the next request is checked as well.

On a serial line, the guard of the bus against late replies knows after a reply that does not fit.
On TCP the bus has none: such a unit stays unconfirmed, and a time-out makes all units unconfirmed.
Two or more behind can stay unnoticed. A request that can change the device is never repeated.
"""

from drivers.errors import PortError
from drivers.modbus.transaction import AMBIGUOUS, INVALID_REPLY
from drivers.tools.lib.exchange.other_reads import different_read, is_read_only, longer_reads
from protocols.modbus.expected_reply import OTHER_MASTER
from protocols.modbus.pdu import EXCEPTION, GOOD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.modbus.bus import TransactionResult

    Send = Callable[[int, bytes, int], TransactionResult]

_GATEWAY_CODES = (10, 11)


class FirstReplyCheck:
    """Confirms the first reply of each unit; `send` sends a request with a number of retries.

    `mismatches` returns the number of replies that did not fit, `has_other_master` whether another
    master was noticed. `has_guard`: the bus guards against late replies.
    """

    def __init__(
        self,
        send: "Send",
        mismatches: "Callable[[], int]",
        has_other_master: "Callable[[], bool]",
        has_guard: bool,
    ) -> None:
        self._send = send
        self._mismatches = mismatches
        self._has_other_master = has_other_master
        self._has_guard = has_guard
        self._confirmed: set[int] = set()
        self._refuses_longer: set[int] = set()

    def timed_out(self) -> None:
        """Note a time-out: without a guard, each later reply can be the one that is missing."""
        if not self._has_guard:
            self._confirmed.clear()

    def request(self, unit: int, request: bytes, retries: int) -> "TransactionResult":
        """Send a request and return its result after the check."""
        result = self._send(unit, request, retries)
        if unit not in self._confirmed and is_read_only(request):
            result = self._check(unit, request, retries, result)
        if result.status == AMBIGUOUS and result.reason == OTHER_MASTER:
            return self._read_longer(unit, request, retries) or result
        return result

    def _check(
        self, unit: int, request: bytes, retries: int, result: "TransactionResult"
    ) -> "TransactionResult":
        """Return the result of a request that was sent when no older reply was due."""
        if result.status == EXCEPTION:
            if result.code in _GATEWAY_CODES and not retries:
                return result  # a scan: the gateway waits for each missing unit
            result = self._send(unit, request, retries)
        if result.status != GOOD:
            return result
        other = different_read(request)
        mismatches = self._mismatches()
        try:
            confirmation = self._send(unit, other, 0)
        except PortError:
            if self._has_guard:
                raise
            return self._repeat(unit, request, retries)  # it closed the connection instead
        is_in_step = self._mismatches() == mismatches
        is_refused = confirmation.status == EXCEPTION
        if is_refused:
            self._refuses_longer.add(unit)
        if is_in_step and confirmation.status == GOOD and other in longer_reads(request):
            self._confirmed.add(unit)
            return cut(confirmation, request)
        has_other_master = self._has_other_master()
        is_distinct = confirmation.status == GOOD or (is_refused and other[0] != request[0])
        if is_in_step and is_distinct and not has_other_master:
            self._confirmed.add(unit)
            return result
        found = self._read_longer(unit, request, retries) if has_other_master else None
        found = found or self._repeat(unit, request, retries)
        if self._has_guard and not is_refused:
            self._confirmed.add(unit)  # the guard knows
        elif is_in_step and is_refused and found.status == GOOD:
            self._confirmed.add(unit)
        return found

    def _repeat(self, unit: int, request: bytes, retries: int) -> "TransactionResult":
        """Send the request again; once more if its reply is a late one, to the different read."""
        found = self._send(unit, request, retries)
        if found.status in (EXCEPTION, INVALID_REPLY):
            found = self._send(unit, request, retries)
        return found

    def _read_longer(self, unit: int, request: bytes, retries: int) -> "TransactionResult | None":
        """Read more values than another master does, twice: the first can have an older reply.

        None without two good replies.
        """
        found = None
        longer = [] if unit in self._refuses_longer else longer_reads(request)
        for read in longer:
            found = self._send(unit, read, retries)
            if found.status == EXCEPTION:
                self._refuses_longer.add(unit)
            if found.status != GOOD:
                return None
        return cut(found, request) if found is not None and len(longer) > 1 else None


def cut(result: "TransactionResult", request: bytes) -> "TransactionResult":
    """Keep the values of `request` in the result of a longer read."""
    result.values = result.values[: request[3] << 8 | request[4]]
    return result
