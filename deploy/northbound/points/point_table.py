# SPDX-License-Identifier: Apache-2.0
"""The point table: key, title, unit and scale of each point, and the columns of the protocols.

Does not read values; see `deploy.northbound.snapshot`. points.toml beside this file has the points
and describes its fields. PROTOCOL.toml has the columns of one protocol. Both are read once.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

KINDS = ("analog", "counter", "flag", "enum")
GROUPS = (
    "secondary", "facility", "pumps", "reservoir", "filters", "leaks", "room", "power", "unit",
    "pair", "group",
)  # fmt: skip
_FOLDER = Path(__file__).parent
_NEEDED = {"title", "kind", "unit", "group"}
_OPTIONAL = {"instances", "scale", "low", "high", "words", "setpoint", "needs"}


@dataclass(frozen=True, slots=True)
class PointRow:
    """One point. `template`: the key in points.toml; `instance`: its number, 0 if there is one.

    `low`, `high`: limits of the raw value, both inclusive. The value in `unit` is raw * `scale`.
    """

    key: str
    template: str
    instance: int
    title: str
    kind: str
    unit: str
    scale: float
    low: int
    high: int
    group: str
    words: tuple[str, ...] = ()
    setpoint: bool = False
    needs: str = ""

    def value(self, raw: int) -> float:
        """Return the value in `unit`."""
        return raw * self.scale

    def raw(self, value: float) -> int:
        """Return the nearest raw value of a value in `unit`."""
        return round(value / self.scale)


@cache
def point_table() -> Mapping[str, PointRow]:
    """Return all points by key, in the order of the file. Templates are expanded."""
    return {row.key: row for row in parse(_read("points"))}


SEVERAL = {"pair": "pair_role", "group": "group_runs"}
"""Groups of points of several controllers or units, with the point that each such unit has."""


def metric_id(key: str) -> str:
    """Return the MetricId of a point without a sensor in the metric report of Redfish."""
    return "".join(word.capitalize() for word in key.split("_"))


@cache
def columns(protocol: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the columns of a protocol by key of the point; PROTOCOL.toml has them.

    `{n}` in a text is replaced by the number of the instance. A point that the protocol leaves
    out has no entry. Raises ValueError: a template is missing, unknown or listed twice.
    """
    data = _read(protocol)
    absent = set(data.pop("absent", ()))
    templates = {row.template for row in point_table().values()}
    missing = templates - set(data) - absent
    unknown = (set(data) | absent) - templates
    twice = set(data) & absent
    for problem, keys in (("missing", missing), ("unknown", unknown), ("also absent", twice)):
        if keys:
            raise ValueError(f"{protocol}.toml: {problem}: {', '.join(sorted(keys))}")
    return {
        row.key: _numbered(data[row.template], row.instance)
        for row in point_table().values()
        if row.template in data
    }


def parse(data: Mapping[str, Mapping[str, Any]]) -> Iterator[PointRow]:
    """Build the rows from the content of points.toml. Raises ValueError: the first problem."""
    for template, table in data.items():
        missing, unknown = _NEEDED - set(table), set(table) - _NEEDED - _OPTIONAL
        if missing or unknown:
            raise ValueError(f"points.toml: {template}: {sorted(missing | unknown)}")
        if table["kind"] not in KINDS or table["group"] not in GROUPS:
            raise ValueError(f"points.toml: {template}: unknown kind or group")
        count = table.get("instances", 0)
        if ("{n}" in template) != (count > 0):
            raise ValueError(f"points.toml: {template}: {{n}} and instances belong together")
        for instance in range(1, count + 1) if count else (0,):
            yield _row(template, table, instance)


def _row(template: str, table: Mapping[str, Any], instance: int) -> PointRow:
    """Build the row of one instance."""
    words = tuple(table.get("words", ()))
    high = {"flag": 1, "enum": len(words) - 1}.get(table["kind"])
    return PointRow(
        key=template.replace("{n}", str(instance)),
        template=template,
        instance=instance,
        title=table["title"].replace("{n}", str(instance)),
        kind=table["kind"],
        unit=table["unit"],
        scale=table.get("scale", 1),
        low=0 if high is not None else table["low"],
        high=table["high"] if high is None else high,
        group=table["group"],
        words=words,
        setpoint=table.get("setpoint", False),
        needs=table.get("needs", ""),
    )


def _numbered(table: Mapping[str, Any], instance: int) -> Mapping[str, Any]:
    """Replace `{n}` in all texts of a table."""
    return {
        key: value.replace("{n}", str(instance)) if isinstance(value, str) else value
        for key, value in table.items()
    }


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
