# SPDX-License-Identifier: Apache-2.0
"""Each resource against the index of the schemas, in each state of the unit; without network."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.northbound.redfish.resource import ROOT, ResourceTree
from tests.deploy.northbound.redfish.judges import unpack_schemas
from tests.deploy.northbound.redfish.schema_index import INDEX, make_index
from tests.deploy.northbound.redfish.service_bench import ServiceBench, set_state
from tests.deploy.northbound.redfish.test_service import links
from tests.deploy.northbound.redfish.test_validators import STATES

KINDS = {"Edm.String": str, "Edm.Boolean": bool, "Edm.Decimal": (int, float), "Edm.Int64": int,
         "Edm.DateTimeOffset": str, "link": dict, "object": dict, "list": list}  # fmt: skip


def bodies(tree: ResourceTree) -> Iterator[dict[str, Any]]:
    """Yield all resources that links reach from the root."""
    seen, pending = set(), [ROOT]
    while pending:
        path = pending.pop()
        resource = tree.find(path)
        if path in seen or not path.startswith(ROOT):
            continue
        assert resource is not None, path
        seen.add(path)
        body = resource.body()
        yield body
        pending += links(body)


def problems(body: dict[str, Any], index: dict[str, Any]) -> Iterator[str]:
    """Yield what the index does not permit in a resource."""
    schema = body["@odata.type"].rsplit(".", 1)[1]
    known = index.get(schema)
    if known is None:
        return
    for name, value in body.items():
        if "@" in name or name in ("Id", "Name", "Description", "Oem"):
            continue
        if name not in known:
            yield f"{name}: unknown"
            continue
        kind, _required, nullable = known[name]
        if value is None:
            if not nullable:
                yield f"{name}: null"
        elif isinstance(kind, list):
            if value not in kind:
                yield f"{name}: {value}"
        elif not isinstance(value, KINDS.get(kind, object)):
            yield f"{name}: {value!r} is no {kind}"
    for name, (_kind, required, _nullable) in known.items():
        if required and name not in body:
            yield f"{name}: missing"


@pytest.mark.parametrize("state", STATES)
def test_each_resource_has_only_what_its_schema_has(state: str, tmp_path: Path) -> None:
    index = json.loads(INDEX.read_text(encoding="utf-8"))
    bench = ServiceBench(tmp_path)
    try:
        set_state(bench, "normal")
        bench.tree.find(f"{ROOT}/ThermalEquipment/CDUs/1/Pumps").body()
        set_state(bench, state)
        bench.events.update(bench.source.read())
        found = list(bodies(bench.tree))
    finally:
        bench.server.close()
    assert len(found) > 90
    assert {b["@odata.id"]: p for b in found if (p := list(problems(b, index)))} == {}


def test_the_index_is_that_of_the_schemas(tmp_path: Path) -> None:
    index = json.loads(INDEX.read_text(encoding="utf-8"))
    assert index == make_index(unpack_schemas(tmp_path))
