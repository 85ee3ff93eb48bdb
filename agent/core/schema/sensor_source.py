# SPDX-License-Identifier: Apache-2.0
"""Temperature source of the sections about time, and the check of this source.

Loaded only if a configuration has one of the sections. A schema alone cannot check that the device
and its point exist.
"""

from agent.core.schema.rules import text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.device.profile import DeviceProfile


TEMPERATURE_SOURCE = text(
    "DEVICE.POINT of a temperature near the oscillator or the receiver", 97, 3
)


def check_sources(
    raw: "dict[str, Any]", devices: "dict[str, DeviceProfile | None]", errors: "list[str]"
) -> None:
    """Check that the temperature sources exist. `devices`: device name to profile."""
    for section in ("timekeeping", "integrity"):
        source = raw.get(section, {}).get("temperature")
        if source is None:
            continue
        device, _, point = source.partition(".")
        if device not in devices:
            errors.append("%s.temperature: no device is named %s" % (section, device))
            continue
        profile = devices[device]
        if profile is not None and not profile.has_point(point):
            errors.append("%s.temperature: %s reads no %s" % (section, device, point))
