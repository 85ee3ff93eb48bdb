# SPDX-License-Identifier: Apache-2.0
"""Points of a redundant pair, from the status record of the component `redundancy`.

Does not decide anything. A field that the status does not have gives a point of quality bad. The
words are those of the point table of the servers; a test compares both.
"""

from agent.northbound.point_sources import number_value, word_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.json_writer import JsonObject
    from agent.northbound.point_sources import Value

ROLES = ("unknown", "listen", "standby", "probe", "read", "active", "offer", "quiet", "out")
REASONS = ("unknown", "silence", "swap", "command", "health", "time")


def pair_values(status: "JsonObject", active_alarms: "list[str]") -> "list[tuple[str, Value]]":
    """Return key and value of each point. `active_alarms`: codes, for the readiness."""
    fields: dict[str, Any] = dict(status.pairs)
    return [
        ("pair_role", word_value(fields.get("role"), ROLES)),
        ("pair_peer_role", word_value(fields.get("peer"), ROLES)),
        ("pair_takeover_reason", word_value(fields.get("reason"), REASONS)),
        ("pair_fit", number_value(fields.get("fit"))),
        ("pair_standby_ready", number_value(_is_ready(fields, active_alarms))),
        ("pair_in_sync", number_value(fields.get("in_sync"))),
        ("pair_takeovers", number_value(fields.get("takeovers"))),
        ("pair_active_time", number_value(fields.get("active_s"))),
    ]


def _is_ready(fields: "dict[str, Any]", active_alarms: "list[str]") -> "bool | None":
    """Return whether the other controller can take over; None: this one does not know it."""
    if fields.get("role") != "active" or fields.get("peer") is None:
        return False if "standby_lost" in active_alarms else None
    if "standby_lost" in active_alarms or fields.get("peer_fit") is False:
        return False
    return bool(fields["peer"] == "standby")
