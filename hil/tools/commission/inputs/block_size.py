# SPDX-License-Identifier: Apache-2.0
"""How many registers a device gives in one reply, found by reading only.

Does not write to a device. Many devices take fewer registers in a request than the 125 of the
standard, and refuse a longer one with exception 2 or 3. A register table does not say it. So each
block of the profile is read; if the device refuses one, smaller blocks are tried.
"""

from typing import Any

from drivers.device.profile import DeviceProfile
from hil.tools.commission.device_access import DeviceAccess
from protocols.modbus import pdu

KEY = "max_block"
"""Key of a profile: the most registers of one request."""
_SIZES = (64, 32, 20, 16, 10, 8, 4, 2, 1)
_REFUSALS = (2, 3)


def find_max_block(access: DeviceAccess, raw: dict[str, Any]) -> int | None:
    """Return the most registers of a request that a device takes; None: the profile can stay.

    `raw`: the profile. None also if no size helps, or if the device does not reply. Raises
    `PortError`.
    """
    refused = _find_refused(access, raw)
    if refused < 2:
        return None
    sizes = [size for size in _SIZES if size < refused]
    return next((size for size in sizes if not _find_refused(access, {**raw, KEY: size})), None)


def _find_refused(access: DeviceAccess, raw: dict[str, Any]) -> int:
    """Return the number of registers of the longest block that the device refuses; 0: none."""
    longest = 0
    for block in DeviceProfile(raw).blocks:
        result = access.request(pdu.read(block.function, block.address, block.count))
        if result.status == pdu.EXCEPTION and result.code in _REFUSALS:
            longest = max(longest, block.count)
        elif result.status != pdu.GOOD:
            return 0
    return longest
