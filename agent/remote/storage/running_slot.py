"""The slot that this application runs from.

Does not choose the slot; see `agent.remote.storage.software_slots`.
"""

INSTALLED = -1
"""The slot of an application that lies in neither."""


class RunningSlot:
    """Where this application runs: its slot, its release, and the bytes that a slot has room for.

    On a server it is a process that something else chose and started; `INSTALLED` stands for both.
    """

    def __init__(self, slot: int = INSTALLED, release: int = 0, capacity: int = 1 << 30) -> None:
        self.slot = slot
        self.release = release
        self.capacity = capacity
