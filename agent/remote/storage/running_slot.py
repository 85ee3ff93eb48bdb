# SPDX-License-Identifier: Apache-2.0
"""The slot of the running application.

Does not select the slot; see `agent.remote.storage.software_slots`.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Read = Callable[[int, int, int], bytes]

INSTALLED = -1
"""The slot of an application that is in no slot."""


class RunningSlot:
    """The slot of this application, its release, and the capacity of a slot in bytes.

    On a server the process does not select its slot; `INSTALLED` means both kinds. `read(slot, at,
    size)` returns a part of a slot of a board; None: the chunks of an update are records.
    """

    def __init__(
        self,
        slot: int = INSTALLED,
        release: int = 0,
        capacity: int = 1 << 30,
        read: "Read | None" = None,
    ) -> None:
        self.slot = slot
        self.release = release
        self.capacity = capacity
        self.read = read
