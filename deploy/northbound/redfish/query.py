# SPDX-License-Identifier: Apache-2.0
"""Query parameters of Redfish: only, $expand, $filter, $select, $top, $skip.

An unknown parameter with a dollar sign is answered with 501, as DSP0266 asks. `filter_query` has
the expressions of $filter.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from deploy.northbound.redfish.filter_query import Test, parse_filter
from deploy.northbound.redfish.messages import Json, RedfishError, message
from deploy.northbound.redfish.resource import Resource, ResourceTree

_EXPAND = re.compile(r"([.*~])(?:\(\$levels=([1-9]\d?)\))?")
_MAX_LEVELS = 3
_MAX_EXPANDED = 200
_KNOWN = ("only", "$expand", "$filter", "$select", "$top", "$skip")

Visible = Callable[[Resource], bool]
"""Whether the caller may read a resource."""


class Query:
    """The query of a request. Raises RedfishError for what is not valid."""

    def __init__(self, arguments: Mapping[str, str], resource: Resource) -> None:
        unknown = [name for name in arguments if name.startswith("$") and name not in _KNOWN]
        if unknown:
            raise RedfishError(501, message("QueryNotSupported"))
        self._collection = resource.schema.endswith("Collection")
        self.only = "only" in arguments
        if self.only and (arguments["only"] or len(arguments) > 1):
            raise RedfishError(400, message("QueryParameterValueFormatError", "only", "only"))
        if not self._collection and (self.only or {"$top", "$skip", "$filter"} & set(arguments)):
            raise RedfishError(400, message("QueryNotSupportedOnResource"))
        self._expand, self._levels = _parse_expand(arguments)
        self._filter = _parse_filter(arguments)
        self._top = _parse_number(arguments, "$top")
        self._skip = _parse_number(arguments, "$skip") or 0
        self._select = [part for part in arguments.get("$select", "").split(",") if part]

    def apply(self, tree: ResourceTree, body: Json, visible: Visible) -> Json:
        """Return the body that the query asks for."""
        if self.only and len(body["Members"]) == 1:
            found = tree.find(body["Members"][0]["@odata.id"])
            if found is not None and visible(found):
                return found.body()
        if self._filter is not None:
            body = _filtered(body, self._filter, tree, visible)
        if self._collection and (self._top is not None or self._skip):
            end = None if self._top is None else self._skip + self._top
            body = {**body, "Members": body["Members"][self._skip : end]}
        if self._expand:
            expansion = _Expansion(tree, self._expand, visible)
            body = expansion.expand(body, self._levels)
        if self._select:
            body = _selected(body, self._select)
        return body


def _parse_expand(arguments: Mapping[str, str]) -> tuple[str, int]:
    text = arguments.get("$expand")
    if text is None:
        return "", 0
    match = _EXPAND.fullmatch(text)
    if match is None:
        raise RedfishError(400, message("QueryParameterValueFormatError", text[:80], "$expand"))
    return match[1], min(int(match[2] or 1), _MAX_LEVELS)


def _parse_filter(arguments: Mapping[str, str]) -> Test | None:
    text = arguments.get("$filter")
    try:
        return None if text is None else parse_filter(text)
    except ValueError:
        raise RedfishError(
            400, message("QueryParameterValueFormatError", str(text)[:80], "$filter")
        ) from None


def _filtered(body: Json, test: Test, tree: ResourceTree, visible: Visible) -> Json:
    """Return a collection with the members that fit, and their number."""
    members = []
    for member in body["Members"]:
        content: Json | None = member
        if set(member) == {"@odata.id"}:
            found = tree.find(member["@odata.id"])
            content = found.body() if found is not None and visible(found) else None
        if content is not None and test(content):
            members.append(member)
    return {**body, "Members": members, "Members@odata.count": len(members)}


def _parse_number(arguments: Mapping[str, str], name: str) -> int | None:
    text = arguments.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 9):
        raise RedfishError(400, message("QueryParameterValueFormatError", text[:80], name))
    return int(text)


class _Expansion:
    """Replaces references by resources: `.` those outside of Links, `~` those in Links, `*` all."""

    def __init__(self, tree: ResourceTree, kind: str, visible: Visible) -> None:
        self._tree = tree
        self._kind = kind
        self._visible = visible
        self._budget = _MAX_EXPANDED

    def expand(self, body: Json, levels: int) -> Json:
        """Return a body with its references expanded."""
        return {name: self._visit(value, levels, name == "Links") for name, value in body.items()}

    def _visit(self, value: Any, levels: int, in_links: bool) -> Any:
        if isinstance(value, list):
            return [self._visit(item, levels, in_links) for item in value]
        if not isinstance(value, dict):
            return value
        if set(value) != {"@odata.id"}:
            return {
                name: self._visit(item, levels, in_links or name == "Links")
                for name, item in value.items()
            }
        if self._kind != "*" and in_links != (self._kind == "~"):
            return value
        found = self._tree.find(value["@odata.id"])
        if found is None or found.build is None or not self._budget or not self._visible(found):
            return value
        self._budget -= 1
        inner = found.body()
        return self.expand(inner, levels - 1) if levels > 1 else inner


def _selected(body: Json, names: list[str]) -> Json:
    keep = {name.split("/", 1)[0] for name in names}
    return {key: value for key, value in body.items() if key.startswith("@") or key in keep}
