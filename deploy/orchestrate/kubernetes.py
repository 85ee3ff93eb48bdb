# SPDX-License-Identifier: Apache-2.0
"""Acts on Kubernetes through its API: node conditions, taints, an extended resource.

Does not form the objects; see `deploy.orchestrate.kubernetes_objects`. It reads the nodes of the
rows and patches only what differs, the condition also each 30 s as a sign of life. The marks are
the objects themselves, so a new process finds and undoes them.

The account needs the verbs get and patch on `nodes` and `nodes/status`, and nothing else.
"""

import http.client
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.errors import DeployError
from deploy.orchestrate import kubernetes_objects as objects
from deploy.orchestrate.kubernetes_objects import Json
from deploy.orchestrate.rules import DRAIN, FREE, SUSPEND, RowDecision
from deploy.orchestrate.settings import KubernetesSettings, RowSettings, RuleSettings

STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
_TIMEOUT_S = 10
_MAX_BYTES = 4_000_000
_HEARTBEAT_S = 30.0
_WRONG_FORM = (ValueError, KeyError, TypeError, AttributeError)
_RESOURCE_STEP = 0.02
"""A resource that grows by less than this part of the row's share is not written."""


class KubernetesError(DeployError):
    """A request to the API server has failed."""


class KubernetesClient:
    """Requests to one API server. The token file is read each time: clusters rotate it."""

    def __init__(self, settings: KubernetesSettings) -> None:
        self._settings = settings
        self._context = None
        if settings.server.startswith("https:"):
            self._context = ssl.create_default_context(cafile=settings.ca_file or None)
        elif not settings.server.startswith("http://127.0.0.1:"):
            raise KubernetesError(f"{settings.server}: needs https:")

    def request(self, method: str, path: str, body: object = None, kind: str = "") -> Json:
        """Send a request; return the object. Raises KubernetesError."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._settings.server.rstrip("/") + path, data, method=method
        )
        request.add_header("Accept", "application/json")
        if kind:
            request.add_header("Content-Type", kind)
        try:
            if self._settings.token_file:
                token = Path(self._settings.token_file).read_text(encoding="ascii").strip()
                request.add_header("Authorization", f"Bearer {token}")
            with urllib.request.urlopen(
                request, timeout=_TIMEOUT_S, context=self._context
            ) as reply:
                found = json.loads(reply.read(_MAX_BYTES))
        except urllib.error.HTTPError as error:
            raise KubernetesError(f"{method} {path}: status {error.code}") from None
        except (OSError, ValueError, RecursionError, http.client.HTTPException) as error:
            raise KubernetesError(f"{method} {path}: {error}") from None
        if not isinstance(found, dict):
            raise KubernetesError(f"{method} {path}: not an object")
        return found


class KubernetesActuator:
    """Applies decisions; `log` gets one line for each change."""

    def __init__(
        self,
        client: KubernetesClient,
        settings: KubernetesSettings,
        rules: RuleSettings,
        rows: tuple[RowSettings, ...],
        log: Callable[[str], None],
    ) -> None:
        self._client = client
        self._settings = settings
        self._rules = rules
        self._rows = rows
        self._log = log
        self._heartbeat: dict[str, float] = {}
        self._raised_at: dict[str, float] = {}
        self._in_force: dict[str, Json] = {}

    def describe(self) -> dict[str, Any]:
        """Return what is in force, by node."""
        return {"kind": "kubernetes", "nodes": dict(self._in_force)}

    def levels(self, rows: tuple[RowSettings, ...]) -> dict[str, int]:
        """Return the level of each row by its taints. Raises KubernetesError."""
        levels = {}
        for row in rows:
            try:
                effects = {
                    taint.get("effect")
                    for name in row.nodes
                    for taint in _taints(self._node(name))
                    if _ours(taint)
                }
            except _WRONG_FORM as error:
                raise KubernetesError(f"{row.name}: not the form of a Node: {error!r}") from None
            level = DRAIN if effects else FREE
            levels[row.name] = SUSPEND if "NoExecute" in effects else level
        return levels

    def apply(self, decisions: list[RowDecision], now: float) -> None:
        """Patch what differs. Raises KubernetesError after all nodes."""
        self._for_each(
            [(decision.row.nodes, decision) for decision in decisions],
            lambda name, decision: self._apply_node(name, decision, now),
        )

    def undo(self) -> None:
        """Remove condition, taint and resource of all nodes. Raises KubernetesError at the end."""
        self._for_each([(row.nodes, row) for row in self._rows], lambda name, _: self._clear(name))

    def _for_each(
        self, groups: list[tuple[tuple[str, ...], Any]], act: Callable[..., None]
    ) -> None:
        failures = []
        for names, subject in groups:
            for name in names:
                try:
                    act(name, subject)
                except KubernetesError as error:
                    failures.append(str(error))
                except _WRONG_FORM as error:
                    failures.append(f"{name}: not the form of a Node: {error!r}")
        if failures:
            raise KubernetesError("; ".join(failures[:3]))

    def _node(self, name: str) -> Json:
        return self._client.request("GET", f"/api/v1/nodes/{name}")

    def _apply_node(self, name: str, decision: RowDecision, now: float) -> None:
        node = self._node(name)
        if self._settings.taint:
            self._set_taints(name, node, decision.level)
        if self._settings.resource:
            watts = objects.resource_watts(decision, self._rules.reserve_pct)
            self._set_resource(name, node, watts, decision, now)
        if self._settings.condition:
            self._set_condition(name, node, decision, now)

    def _set_taints(self, name: str, node: Json, level: int) -> None:
        present = _taints(node)
        wanted = objects.taints(present, level, self._settings.evict)
        if wanted != present:
            version = str(node.get("metadata", {}).get("resourceVersion", ""))
            patch = objects.taint_patch(version, wanted)
            self._client.request("PATCH", f"/api/v1/nodes/{name}", patch, MERGE)
            self._log(f"kubernetes: {name}: taints {[t['effect'] for t in wanted if _ours(t)]}")
        self._in_force.setdefault(name, {})["taints"] = [t["effect"] for t in wanted if _ours(t)]

    def _set_resource(
        self, name: str, node: Json, watts: int, decision: RowDecision, now: float
    ) -> None:
        """Write the resource: less immediately, more at most once in `change_s`."""
        text = (node.get("status", {}).get("capacity") or {}).get(objects.RESOURCE, "")
        before = int(text) if text.isdecimal() else None
        self._in_force.setdefault(name, {})["watts"] = before
        share_w = 1000.0 * decision.row.rated_kw / len(decision.row.nodes)
        if before is not None and watts >= before:
            is_due = now - self._raised_at.get(name, -1e9) >= self._rules.change_s
            if watts - before < _RESOURCE_STEP * share_w or not is_due:
                return
            self._raised_at[name] = now
        patch = objects.resource_patch(watts)
        self._client.request("PATCH", f"/api/v1/nodes/{name}/status", patch, JSON_PATCH)
        self._in_force[name]["watts"] = watts

    def _set_condition(self, name: str, node: Json, decision: RowDecision, now: float) -> None:
        found = [c for c in node.get("status", {}).get("conditions") or [] if _is_condition(c)]
        previous = found[0] if found else None
        new = objects.condition(decision, previous, datetime.now(UTC))
        is_same = previous is not None and all(
            previous.get(key) == new[key] for key in ("status", "reason")
        )
        if is_same and now - self._heartbeat.get(name, -1e9) < _HEARTBEAT_S:
            return
        patch = objects.condition_patch(new)
        self._client.request("PATCH", f"/api/v1/nodes/{name}/status", patch, STRATEGIC)
        self._heartbeat[name] = now

    def _clear(self, name: str) -> None:
        node = self._node(name)
        self._set_taints(name, node, FREE)
        path, status = f"/api/v1/nodes/{name}/status", node.get("status", {})
        if objects.RESOURCE in (status.get("capacity") or {}):
            self._client.request("PATCH", path, objects.resource_removal(), JSON_PATCH)
        if any(map(_is_condition, status.get("conditions") or [])):
            self._client.request("PATCH", path, objects.condition_removal(), STRATEGIC)
        self._in_force.pop(name, None)


def _taints(node: Json) -> list[Json]:
    return list(node.get("spec", {}).get("taints") or [])


def _ours(taint: Json) -> bool:
    return bool(taint.get("key") == objects.TAINT)


def _is_condition(condition: Json) -> bool:
    return bool(condition.get("type") == objects.CONDITION)
