# SPDX-License-Identifier: Apache-2.0
"""The outputs of one more actuator on a device that has several, such as a one-address CDU.

Does not poll: `agent.fieldbus.device_session` does, and it owns the outputs of the first actuator.
Each actuator has a write cycle of its own. So a new valve position does not replace the pending
speed of the pump, and each one is verified separately. Loaded only for such a device.
"""

from agent.fieldbus.write_cycle import WriteCycle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from drivers.device.device import ModbusDevice
    from drivers.device.profile import DeviceProfile
    from drivers.modbus.bus import Bus

    Pairs = list[tuple[int, int]]

    class ChannelSession(Protocol):
        """What a channel uses of `agent.fieldbus.device_session.DeviceSession`."""

        name: str
        profile: DeviceProfile
        device: ModbusDevice
        answered_at: int
        transactions: int
        cycle_us: int

        @property
        def lost(self) -> bool:
            """Whether the device does not reply."""
            ...

        def identify(self) -> None:
            """Read the identity of the device again."""
            ...

        def polls_complete(self) -> bool:
            """Return whether no fast poll is pending."""
            ...

        def poll_early(self) -> None:
            """Request the fast blocks at the end of this tick."""
            ...


class WriteChannel:
    """A `SessionView` of `session` with its own outputs. `kind`: the kind of its request tags."""

    def __init__(self, session: "ChannelSession", bus: "Bus", kind: int, number: int) -> None:
        self.name = session.name
        self.profile = session.profile
        self.device = session.device
        self.kind = kind
        self._session = session
        self.cycle = WriteCycle(number, session.device, bus, session.identify, kind)

    @property
    def lost(self) -> bool:
        """Whether the device did not reply for some cycles."""
        return self._session.lost

    @property
    def write_unverified(self) -> bool:
        """Whether the polls do not show the requested outputs of this channel."""
        return self.cycle.unverified

    @property
    def answered_at(self) -> int:
        """Monotonic time of the last good reply of the device, µs."""
        return self._session.answered_at

    @property
    def transactions(self) -> int:
        """Number of completed requests of the device."""
        return self._session.transactions

    def polls_complete(self) -> bool:
        """Return whether no fast poll of the device is pending."""
        return self._session.polls_complete()

    def poll_early(self) -> None:
        """Request the fast blocks of the device at the end of this tick."""
        self._session.poll_early()

    def ramp_limited(self, i: int, value: float) -> "tuple[float, int]":
        """Return (value, count) to request now for point `i`; see `DeviceSession.ramp_limited`."""
        return self.cycle.ramp_limited(i, value, self._session.cycle_us)

    def request_outputs(self, outputs: "Pairs", stop: bool = False) -> None:
        """Request that points (index, count) be written and verified."""
        self.cycle.request(outputs, stop)

    def withhold_outputs(self) -> None:
        """Drop the requested outputs of this actuator."""
        self.cycle.withhold()
