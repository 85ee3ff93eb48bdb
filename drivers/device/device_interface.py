# SPDX-License-Identifier: Apache-2.0
"""Types only: the parts of a device that `write_encoder` and `write_request` use.

Never imported at run time, so it costs a board no heap.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from drivers.device.profile import Bit, DeviceProfile, LinkedSetting, Point, RangeLimits

    class LinkedDevice(Protocol):
        """A device with the values that its linked points need."""

        name: str

        def setting_value(self, name: str) -> "LinkedSetting | None":
            """Return the value of point `name`; None if its reading is not good."""

        def range_limits(self, point: "Point") -> "RangeLimits | None":
            """Return the range of `point`; None if a reading is not good."""

    class LastReading(Protocol):
        """The last count of a point and its quality."""

        raw: int
        quality: str

    class WritableDevice(LinkedDevice, Protocol):
        """A device of a profile, with its identity and its last readings."""

        profile: DeviceProfile
        mismatch_reason: str

        @property
        def readings(self) -> "Sequence[LastReading]":
            """Return the last readings, in the order of the points."""

        @property
        def identity(self) -> str:
            """Return whether the device is the model of the profile."""

        def point_index(self, name: str) -> int:
            """Return the index of a point."""

        def register_value(self, bit: Bit) -> "int | None":
            """Return the last read register of a bit; None before that."""

        def is_bit_on(self, name: str) -> bool:
            """Return whether a bit was on when last read."""
