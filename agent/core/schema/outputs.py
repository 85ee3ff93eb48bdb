# SPDX-License-Identifier: Apache-2.0
"""Check that an actuator accepts all outputs of its loop.

Does not check the tuning of the loop. Unloaded after loading; a signed change loads it again.
"""

from agent.core.config_records import round_to_thousandth
from protocols.rounding import number_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.device.profile import DeviceProfile, Point


def check_outputs(
    profile: "DeviceProfile | None",
    role: str,
    loop: "dict[str, Any]",
    path: str,
    errors: "list[str]",
) -> None:
    """Check that the actuator accepts all outputs of the loop; append texts to `errors`."""
    data = None if profile is None else getattr(profile, role)
    if profile is None or not data:
        return
    point = profile.points[profile.point_index(data["setpoint"])]
    low, high = point.limits or (0, 0)
    for key in ("min_pct", "max_pct", "safe_pct"):
        raw = round_to_thousandth(loop[key]) * point.denominator / point.numerator
        if not low - 0.5 < raw < high + 0.5:
            shown, limits = number_text(loop[key]), (_percent(low, point), _percent(high, point))
            errors.append(
                "%s.%s: %s is outside what profile %s lets be written, %s to %s %%"
                % (path, key, shown, profile.model, limits[0], limits[1])
            )
    if role != "valve" and not low <= 0 <= high:
        errors.append("%s: profile %s does not let 0 be written" % (path, profile.model))


def _percent(raw: int, point: "Point") -> str:
    return number_text(raw * point.numerator / point.denominator, 1)
