"""The exceptions of the first floor.

DriverError
+-- AddressError   a port address that cannot be understood
+-- ProfileError   a device profile that contradicts itself
+-- PortError      a port that cannot be opened or used (text: what, where, what to do)
    +-- FullError  a store that has no room: whoever has records there may delete some
"""


class DriverError(Exception):
    """Root of everything that `drivers` raises."""


class AddressError(DriverError):
    """A port address such as `serial:/dev/ttyUSB0?baud=9600` that breaks the grammar or a range."""


class ProfileError(DriverError):
    """A device profile with a bad entry; the text names profile, entry and rule."""


class PortError(DriverError):
    """A port that cannot be opened or has failed; the text says what, where and what to do."""


class FullError(PortError):
    """A store without room for what was to be written."""
