# SPDX-License-Identifier: Apache-2.0
"""The exceptions of `drivers`.

DriverError
+-- AddressError   a port address with an error
+-- ProfileError   a device profile with an error
+-- PortError      a port that does not open or has failed (text: what, where, what to do)
    +-- FullError  a store without space: the owner of its records can delete some
"""


class DriverError(Exception):
    """Base class of all exceptions of `drivers`."""


class AddressError(DriverError):
    """A port address (`serial:/dev/ttyUSB0?baud=9600`) has a wrong grammar or value."""


class ProfileError(DriverError):
    """A device profile has a wrong entry; the text names profile, entry and rule."""


class PortError(DriverError):
    """A port does not open or has failed; the text says what, where and what to do."""


class FullError(PortError):
    """A store has no space for the data to write."""
