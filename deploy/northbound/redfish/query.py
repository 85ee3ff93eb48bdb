# SPDX-License-Identifier: Apache-2.0
"""Query parameters of Redfish: only, $expand, $select, $top, $skip.

Does not filter; an unknown parameter with a dollar sign is answered with 501, as DSP0266 asks.
"""

import re
from collections.abc import Callable, Mapping

from deploy.northbound.redfish.messages import Json, RedfishError, message, not_found
from deploy.northbound.redfish.resource import Call, Resource, ResourceTree

_EXPAND = re.compile(r"([.*~])(?:\(\$levels=([1-9]\d?)\))?")
_MAX_LEVELS = 3
_MAX_EXPANDED = 200
_KNOWN = ("only", "$expand", "$select", "$top", "$skip")

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
        if not self._collection and (self.only or {"$top", "$skip"} & set(arguments)):
            raise RedfishError(400, message("QueryNotSupportedOnResource"))
        self._expand, self._levels = _parse_expand(arguments)
        self._top = _parse_number(arguments, "$top")
        self._skip = _parse_number(arguments, "$skip") or 0
        self._select = [part for part in arguments.get("$select", "").split(",") if part]

    def apply(self, tree: ResourceTree, body: Json, visible: Visible) -> Json:
        """Return the body that the query asks for."""
        if self.only and len(body["Members"]) == 1:
            found = tree.find(body["Members"][0]["@odata.id"])
            if found is not None and visible(found):
                return found.body()
        if self._collection and (self._top is not None or self._skip):
            end = None if self._top is None else self._skip + self._top
            body = {**body, "Members": body["Members"][self._skip : end]}
        if self._expand and self._expand != "~":  # links of dependency are not expanded
            budget = [_MAX_EXPANDED]
            body = _expanded(tree, body, self._levels, budget, visible)
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


def _parse_number(arguments: Mapping[str, str], name: str) -> int | None:
    text = arguments.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 9):
        raise RedfishError(400, message("QueryParameterValueFormatError", text[:80], name))
    return int(text)


def _expanded(
    tree: ResourceTree, body: Json, levels: int, budget: list[int], visible: Visible
) -> Json:
    """Replace the references of a body, but not those in Links, by their resources."""

    def visit(value: object, name: str) -> object:
        if isinstance(value, list):
            return [visit(item, name) for item in value]
        if not isinstance(value, dict):
            return value
        if set(value) == {"@odata.id"} and name not in ("RelatedItem", "OriginOfCondition"):
            found = tree.find(value["@odata.id"])
            if found is None or found.build is None or budget[0] <= 0 or not visible(found):
                return value
            budget[0] -= 1
            inner = found.body()
            return _expanded(tree, inner, levels - 1, budget, visible) if levels > 1 else inner
        return {key: item if key == "Links" else visit(item, key) for key, item in value.items()}

    return {key: item if key == "Links" else visit(item, key) for key, item in body.items()}


def _selected(body: Json, names: list[str]) -> Json:
    keep = {name.split("/", 1)[0] for name in names}
    return {key: value for key, value in body.items() if key.startswith("@") or key in keep}


def require(resource: Resource | None, call: Call) -> Resource:
    """Return the resource. Raises RedfishError: there is none."""
    if resource is None:
        raise not_found(call.path)
    return resource
