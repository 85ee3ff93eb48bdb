# SPDX-License-Identifier: Apache-2.0
"""A small stand-in for the schemas of the DMTF: the properties of the types in use.

Does not replace the validators; they need the data folder. schema_index.json beside this file has
for each type [kind, required, nullable] of its properties at the version in use. The kind is an
Edm type, `link`, `object`, `list`, `any`, or the words of an enumeration.
`python -m tests.deploy.northbound.redfish.schema_index FOLDER` makes it from the CSDL in FOLDER.
"""

import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from deploy.northbound.redfish.schemas import VERSIONS

INDEX = Path(__file__).with_name("schema_index.json")
_EDM = "{http://docs.oasis-open.org/odata/ns/edm}"


def make_index(folder: Path) -> dict[str, dict[str, list[Any]]]:
    """Return the index of the schemas in use."""
    return {
        name: _properties(folder, name, version)
        for name, version in VERSIONS.items()
        if name not in ("Event", "MessageRegistry")
    }


def _properties(folder: Path, name: str, version: str) -> dict[str, list[Any]]:
    wanted = tuple(int(part) for part in version.split("_"))
    schemas = list(ET.parse(folder / f"{name}_v1.xml").iter(f"{_EDM}Schema"))
    words = _enumerations(schemas)
    found: dict[str, list[Any]] = {}
    for schema in schemas:
        at = _version(schema.get("Namespace", ""))
        if at is not None and at > wanted:
            continue
        for entity in schema.findall(f"{_EDM}EntityType"):
            if entity.get("Name") != name:
                continue
            for item in entity:
                if item.tag in (f"{_EDM}Property", f"{_EDM}NavigationProperty"):
                    found[item.get("Name", "")] = _entry(item, words)
    return found


def _entry(item: Any, words: dict[str, list[str]]) -> list[Any]:
    terms = {mark.get("Term") for mark in item.findall(f"{_EDM}Annotation")}
    kind: Any = item.get("Type")
    if kind.startswith("Collection("):
        kind = "list"
    elif item.tag.endswith("NavigationProperty"):
        kind = "object" if "Redfish.ExcerptCopy" in terms else "link"
    elif not kind.startswith("Edm."):
        short = kind.rsplit(".", 1)[1]
        kind = words.get(short, "any")
    return [kind, "Redfish.Required" in terms, item.get("Nullable") != "false"]


def _enumerations(schemas: list[Any]) -> dict[str, list[str]]:
    return {
        entry.get("Name", ""): [member.get("Name", "") for member in entry.findall(f"{_EDM}Member")]
        for schema in schemas
        for entry in schema.findall(f"{_EDM}EnumType")
    }


def _version(namespace: str) -> tuple[int, ...] | None:
    _name, dot, text = namespace.partition(".v")
    return tuple(int(part) for part in text.split("_")) if dot else None


if __name__ == "__main__":
    text = json.dumps(make_index(Path(sys.argv[1])), separators=(",", ":"), sort_keys=True)
    INDEX.write_text(text.replace('},"', '},\n"') + "\n", encoding="utf-8")
