# SPDX-License-Identifier: Apache-2.0
"""An API server with nodes only: GET, and PATCH of a node and of its status in three kinds.

Not Kubernetes: it checks each stored object against the schema of Node (v1.32, strict). It does a
JSON patch with the library jsonpatch, a merge patch by RFC 7396, and of the strategic merge patch
the part that a node's status needs: conditions merge by their type. As the real server does, it
ignores the spec in a patch of the status, and the status in a patch of the node.
"""

import copy
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jsonpatch
import jsonschema

from tests.support.repository import ROOT

Json = dict[str, Any]
_SCHEMA = json.loads((ROOT / "tests/support/facts/kubernetes_node.json").read_text())
_VALIDATOR = jsonschema.Draft202012Validator(_SCHEMA)


def check_node(node: Json) -> list[str]:
    """Return the errors of a node by the schema."""
    return [f"{list(e.path)}: {e.message}" for e in _VALIDATOR.iter_errors(node)]


def make_node(name: str) -> Json:
    condition = {"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-11-28T00:00:00Z"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "resourceVersion": "1"},
        "spec": {"taints": [{"key": "gpu", "effect": "NoSchedule", "value": "yes"}]},
        "status": {
            "capacity": {"cpu": "64"},
            "allocatable": {"cpu": "64"},
            "conditions": [condition],
        },
    }


class FakeKubernetes:
    """Serves `nodes` on the loopback; `patches` has each accepted request."""

    def __init__(self, names: list[str], token: str) -> None:
        self.nodes = {name: make_node(name) for name in names}
        self.token = token
        self.patches: list[tuple[str, str, Any]] = []
        self.faults: list[int] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._make_handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def patch(self, path: list[str], kind: str, body: Any) -> tuple[int, Json]:
        node = self.nodes.get(path[0])
        if node is None or path[1:] not in ([], ["status"]):
            return 404, {}
        part = "status" if path[1:] else "spec"
        try:
            new = _PATCHES[kind](copy.deepcopy(node), body)
        except KeyError:
            return 415, {}
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException):
            return 422, {}
        version = new["metadata"]["resourceVersion"]
        if version != node["metadata"]["resourceVersion"]:
            return 409, {}
        stored = {**node, part: new.get(part, {})}
        if check_node(stored):
            return 422, {"message": check_node(stored)[0]}
        stored["metadata"] = {**node["metadata"], "resourceVersion": str(int(version) + 1)}
        self.nodes[path[0]] = stored
        self.patches.append(("/".join(path), kind, body))
        return 200, stored

    def _make_handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class NodeHandler(BaseHTTPRequestHandler):
            def answer(self, status: int, body: Json) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def handle_request(self, method: str) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Authorization") != f"Bearer {fake.token}":
                    self.answer(401, {})
                    return
                with fake._lock:
                    if fake.faults:
                        self.answer(fake.faults.pop(0), {})
                        return
                    prefix = "/api/v1/nodes/"
                    path = self.path.removeprefix(prefix).split("/")
                    if method == "PATCH":
                        kind = self.headers.get("Content-Type", "")
                        self.answer(*fake.patch(path, kind, json.loads(body)))
                    elif path[0] in fake.nodes:
                        self.answer(200, fake.nodes[path[0]])
                    else:
                        self.answer(404, {})

            def do_GET(self) -> None:
                self.handle_request("GET")

            def do_PATCH(self) -> None:
                self.handle_request("PATCH")

            def log_message(self, *_: Any) -> None:
                pass

        return NodeHandler


def _json_patch(node: Json, body: Any) -> Json:
    patched: Json = jsonpatch.apply_patch(node, body)
    return patched


def _merge(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merge(result.get(name), value)
    return result


def _strategic(node: Json, body: Json) -> Json:
    assert set(body) == {"status"}
    assert set(body["status"]) == {"conditions"}
    conditions = {entry["type"]: entry for entry in node["status"]["conditions"]}
    for entry in body["status"]["conditions"]:
        if entry.get("$patch") == "delete":
            conditions.pop(entry["type"], None)
        else:
            conditions[entry["type"]] = {**conditions.get(entry["type"], {}), **entry}
    node["status"]["conditions"] = list(conditions.values())
    return node


_PATCHES: dict[str, Any] = {
    "application/json-patch+json": _json_patch,
    "application/merge-patch+json": _merge,
    "application/strategic-merge-patch+json": _strategic,
}
