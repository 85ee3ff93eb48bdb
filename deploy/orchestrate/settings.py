# SPDX-License-Identifier: Apache-2.0
"""The configuration file of `coldloop orchestrate`, in TOML.

Does not read units; see `deploy.orchestrate.sources`. An unknown key is an error, so that a
misspelled limit cannot be ignored. docs/operator/orchestrate.md has an example.
"""

import re
import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from agent.config.validate import is_valid_name
from deploy.errors import DeployError

_MAX_ROWS = 1000
_MAX_NODES = 10_000
_NODE_LIST = re.compile(r"([\w.-]+)(?:\[(\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*)\]([\w.-]*))?")


@dataclass(frozen=True, slots=True)
class RowSettings:
    """One row: its unit and its nodes.

    `rated_kw`: heat that the row removes by design. `base_kw`: power of the row that no job asks
    for, such as idle nodes. `unit`: SITE/UNIT in the relay's store. `metrics`: the URL of the
    unit's Prometheus page. `points`: folder of the record of points. `status`: file that the agent
    writes.
    """

    name: str
    nodes: tuple[str, ...]
    rated_kw: float
    base_kw: float = 0.0
    licence: str = "coolkw"
    unit: str = ""
    metrics: str = ""
    token_file: str = ""
    ca_file: str = ""
    points: str = ""
    status: str = ""


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """Thresholds in % of `rated_kw` and times in s; see `deploy.orchestrate.rules`."""

    act_pct: float = 5.0
    act_s: float = 3.0
    release_pct: float = 15.0
    release_s: float = 60.0
    reserve_pct: float = 7.0
    lost_age_s: float = 10.0
    store_age_s: float = 180.0
    hold_s: float = 60.0
    change_s: float = 10.0
    suspend_after_s: float = 10.0
    down_after_s: float = 60.0
    poll_s: float = 1.0


@dataclass(frozen=True, slots=True)
class SlurmSettings:
    """Levers in Slurm. `suspend`: partitions whose jobs tolerate a suspension."""

    licences: bool = True
    drain: bool = True
    weights: bool = True
    suspend: tuple[str, ...] = ()
    partition_down: tuple[str, ...] = ()
    reservation: str = "coldloop"
    reservation_min: int = 10
    conf: str = ""


@dataclass(frozen=True, slots=True)
class KubernetesSettings:
    """The API server, and which of the three objects are written."""

    server: str
    token_file: str = ""
    ca_file: str = ""
    condition: bool = True
    taint: bool = True
    evict: bool = False
    resource: bool = True


@dataclass(frozen=True, slots=True)
class OrchestrateSettings:
    """The whole file. `store`: the relay's fleet store. `record`: file that is published."""

    rows: tuple[RowSettings, ...]
    rules: RuleSettings = field(default_factory=RuleSettings)
    slurm: SlurmSettings | None = None
    kubernetes: KubernetesSettings | None = None
    store: str = ""
    hours: int = 6
    record: str = ""
    listen: str = ""


def load(path: str) -> OrchestrateSettings:
    """Read the file. Raises DeployError."""
    try:
        return parse(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise DeployError(f"{path}: {getattr(error, 'strerror', 'not UTF-8 text')}") from None
    except DeployError as error:
        raise DeployError(f"{path}: {error}") from None


def parse(text: str) -> OrchestrateSettings:
    """Parse the text of a file. Raises DeployError."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DeployError(f"not TOML: {error}") from None
    entries = raw.pop("row", None)
    if not isinstance(entries, list) or not 1 <= len(entries) <= _MAX_ROWS:
        raise DeployError(f"[[row]]: needs 1 to {_MAX_ROWS} tables")
    rows = tuple(
        replace(row, nodes=expand_nodes(row.nodes))
        for row in (_build(RowSettings, e, f"row {i + 1}") for i, e in enumerate(entries))
    )
    sections = {
        name: _build(kind, raw.pop(name), name) for name, kind in _SECTIONS.items() if name in raw
    }
    settings: OrchestrateSettings = _build(
        OrchestrateSettings, {**raw, "row": ()}, "file", rows=rows, **sections
    )
    _check(settings)
    return settings


_SECTIONS: dict[str, type] = {
    "rules": RuleSettings,
    "slurm": SlurmSettings,
    "kubernetes": KubernetesSettings,
}


def _build(kind: Any, raw: object, where: str, **given: Any) -> Any:
    """Build a record from a table; each value must have the type of its field."""
    if not isinstance(raw, dict):
        raise DeployError(f"{where}: not a table")
    raw.pop("row", None)
    known = {entry.name: getattr(entry.type, "__name__", str(entry.type)) for entry in fields(kind)}
    for name, value in raw.items():
        if name not in known or name in given:
            raise DeployError(f"{where}: {name}: unknown key")
        given[name] = _convert(value, known[name], f"{where}: {name}")
    try:
        return kind(**given)
    except TypeError:
        missing = [e.name for e in fields(kind) if e.name not in given and _is_needed(e)]
        raise DeployError(f"{where}: needs {', '.join(missing)}") from None


def _is_needed(entry: Any) -> bool:
    return not isinstance(entry.default, (int, float, str, tuple)) and entry.name != "rows"


def expand_nodes(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of node lists such as n[001-064,070]. Raises DeployError."""
    names: list[str] = []
    for text in texts:
        found = _NODE_LIST.fullmatch(text)
        if found is None:
            raise DeployError(f"nodes: {text!r} is not a name or a list such as n[1-4]")
        head, ranges, tail = found.groups()
        if ranges is None:
            names.append(text)
            continue
        for part in ranges.split(","):
            first, _, last = part.partition("-")
            numbers = range(int(first), int(last or first) + 1)
            if not 1 <= len(numbers) <= _MAX_NODES:
                raise DeployError(f"nodes: {text!r}: 1 to {_MAX_NODES} nodes in a range")
            names += [f"{head}{number:0{len(first)}}{tail}" for number in numbers]
    return tuple(names)


def _convert(value: object, kind: str, where: str) -> object:
    if "tuple" in kind:
        texts = [value] if isinstance(value, str) else value
        if (
            isinstance(texts, list)
            and texts
            and all(isinstance(text, str) and text for text in texts)
        ):
            return tuple(texts)
        raise DeployError(f"{where}: not a text or a list of texts")
    if "float" in kind and type(value) in (int, float) and 0 <= value < 1e9:  # type: ignore[operator]
        return float(value)  # type: ignore[arg-type]
    wanted = {"bool": bool, "int": int, "str": str}.get(kind)
    if wanted is None or type(value) is not wanted:
        raise DeployError(f"{where}: {value!r} is not of the kind {kind}, or out of range")
    return value


def _check(settings: OrchestrateSettings) -> None:
    names = [row.name for row in settings.rows]
    if len(set(names)) < len(names):
        raise DeployError("two rows have the same name")
    nodes = [node for row in settings.rows for node in row.nodes]
    if len(set(nodes)) < len(nodes):
        raise DeployError("a node is in two rows")
    for row in settings.rows:
        if not is_valid_name(row.name):  # it stands in marks, in the log and on the pages
            raise DeployError(f"row {row.name!r}: name: 1 to 32 of a-z, 0-9, _ and -")
        if row.rated_kw <= 0 or not row.base_kw < row.rated_kw:
            raise DeployError(f"row {row.name}: rated_kw must be above base_kw")
        if not (row.metrics or row.points or row.status or (row.unit and settings.store)):
            raise DeployError(f"row {row.name}: needs metrics, points, status, or unit and store")
    rules = settings.rules
    if not rules.act_pct <= rules.reserve_pct < rules.release_pct <= 100:
        raise DeployError("rules: act_pct <= reserve_pct < release_pct <= 100 is necessary")
    if rules.poll_s < 0.05:
        raise DeployError("rules: poll_s: below 0.05 s")
    if not 1 <= settings.hours <= 48:
        raise DeployError("hours: 1 to 48")
    if settings.slurm is not None and not 1 <= settings.slurm.reservation_min <= 1440:
        raise DeployError("slurm: reservation_min: 1 to 1440")
    if settings.slurm is not None and settings.kubernetes is not None:
        raise DeployError("slurm and kubernetes: run one process for each scheduler")
