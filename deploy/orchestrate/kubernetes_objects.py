# SPDX-License-Identifier: Apache-2.0
"""The Kubernetes objects of a row: node condition, taint, extended resource, and their patches.

Does not send; see `deploy.orchestrate.kubernetes`. SOURCE: Kubernetes API v1.32, Node; the pages
"Taints and Tolerations" and "Advertise Extended Resources for a Node".

    condition   CoolingHeadroom, for people and controllers; the Kubernetes scheduler ignores it
    taint       coldloop/heat, NoSchedule from DRAIN, NoExecute from SUSPEND if `evict` is true
    resource    coldloop/cooling-watts: the part of the row's capacity that pods may request
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from deploy.orchestrate.rules import DRAIN, LEVELS, SUSPEND, RowDecision

Json = dict[str, Any]
CONDITION = "CoolingHeadroom"
TAINT = "coldloop/heat"
RESOURCE = "coldloop/cooling-watts"
_RESOURCE_PATH = "/status/capacity/" + RESOURCE.replace("~", "~0").replace("/", "~1")


def format_time(now: datetime) -> str:
    """Return a time as `metav1.Time` has it: RFC 3339, whole seconds."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(decision: RowDecision, previous: Json | None, now: datetime) -> Json:
    """Return the condition; the time of the transition stays while the status stays."""
    is_known = decision.reading is not None
    status = "Unknown" if not is_known else ("True" if decision.level < DRAIN else "False")
    time = format_time(now)
    is_same = previous is not None and previous.get("status") == status
    return {
        "type": CONDITION,
        "status": status,
        "reason": "Level" + LEVELS[decision.level].capitalize(),
        "message": f"row {decision.row.name}: {decision.reason}",
        "lastHeartbeatTime": time,
        "lastTransitionTime": previous["lastTransitionTime"] if is_same and previous else time,
    }


def condition_patch(new: Json) -> Json:
    """Return a strategic merge patch of /status; conditions merge by their type."""
    return {"status": {"conditions": [new]}}


def condition_removal() -> Json:
    """Return the patch that removes the condition."""
    return {"status": {"conditions": [{"$patch": "delete", "type": CONDITION}]}}


def taints(present: Sequence[Json], level: int, evict: bool) -> list[Json]:
    """Return all taints of a node, with ours as the level needs it. Others stay as they are."""
    wanted = [taint for taint in present if taint.get("key") != TAINT]
    if level >= DRAIN:
        effects = ["NoSchedule", *(["NoExecute"] if evict and level >= SUSPEND else [])]
        ours = [taint for taint in present if taint.get("key") == TAINT]
        for effect in effects:
            same = [taint for taint in ours if taint.get("effect") == effect]
            wanted.append(same[0] if same else {"key": TAINT, "effect": effect})
    return wanted


def taint_patch(resource_version: str, wanted: Sequence[Json]) -> Json:
    """Return a merge patch of the node. The list is replaced; the version makes a race a 409."""
    return {"metadata": {"resourceVersion": resource_version}, "spec": {"taints": list(wanted)}}


def resource_watts(decision: RowDecision, reserve_pct: float) -> int:
    """Return the watts of one node: capacity less reserve and base, in equal parts.

    Kubernetes subtracts the requests of running pods itself. A row that drains has the taint; its
    resource is then 0 only if it has no capacity.
    """
    row = decision.row
    usable_w = decision.capacity_w - 1000.0 * (row.base_kw + row.rated_kw * reserve_pct / 100.0)
    return max(0, int(usable_w / len(row.nodes)))


def resource_patch(watts: int) -> list[Json]:
    """Return a JSON patch of /status (RFC 6902); `add` also replaces."""
    return [{"op": "add", "path": _RESOURCE_PATH, "value": str(watts)}]


def resource_removal() -> list[Json]:
    """Return the JSON patch that removes the resource."""
    return [{"op": "remove", "path": _RESOURCE_PATH}]
