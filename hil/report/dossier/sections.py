# SPDX-License-Identifier: Apache-2.0
"""The sections of the dossier as data: title, notes and tables. HTML and JSON come from them.

Does not format; see `hil.report.dossier.page`. A section without a measurement has no table, and
its note says "not measured". No figure comes from a configuration, a profile or a simulated year.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hil.record import trust_store
from hil.record.provenance import describe_run_verdict
from hil.report.dossier.clauses import NOT_COVERED, devices_text, map_clauses
from hil.report.dossier.derating import derating, load_profiles, missing_profiles
from hil.report.dossier.figures import METERED, footprint_figures, has_coexistence, is_year
from hil.report.dossier.identity import check_identity, name_unit
from hil.report.dossier.inputs import DossierInput, SuppliedEvidence

_CLOCK_ERROR = timedelta(days=1)
NOT_MEASURED, NOT_KNOWN = "not measured", "not known"


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its title, the heads of its columns, its cells as text."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A section; `notes` are sentences above its tables."""

    title: str
    notes: tuple[str, ...]
    tables: tuple[Table, ...] = ()


def build_sections(
    inputs: Sequence[DossierInput], supplied: Sequence[SuppliedEvidence]
) -> list[Section]:
    """Return all sections in the order of the document. Raises BenchError."""
    remarks = check_identity(inputs, supplied)
    return [
        _evidence(inputs, supplied, remarks),
        _derating(inputs),
        _load_profile(inputs),
        _link(inputs),
        _pue(inputs),
        _interfaces(inputs),
        _clauses(inputs, supplied),
    ]


def _of(inputs: Sequence[DossierInput], kind: str) -> list[DossierInput]:
    return [entry for entry in inputs if entry.kind == kind]


def _evidence(
    inputs: Sequence[DossierInput],
    supplied: Sequence[SuppliedEvidence],
    remarks: Sequence[str],
) -> Section:
    files = [(entry.name, entry.kind, _describe(entry), entry.sha256) for entry in inputs]
    files += [(e.name, "supplied", f"for {e.clause}", e.sha256) for e in supplied]
    table = Table("", ("file", "kind", "content", "sha256"), tuple(files))
    notes = ["Each figure below comes from one of these files. The hash of a file identifies it."]
    runs = [run for entry in _of(inputs, "record") for run in entry.content["runs"]]
    emulated = sum("emulated" in devices_text(run) for run in runs)
    if emulated:
        notes.append(
            f"{emulated} of {len(runs)} runs had emulated devices: their figures describe the "
            "bench and the controller, not the hydraulics of the unit."
        )
    return Section("Evidence", (*notes, *remarks, *_future(inputs)), (table,))


def _future(inputs: Sequence[DossierInput]) -> list[str]:
    """Return a remark for each file with a time after now: one of the two clocks is wrong."""
    now = datetime.now(UTC)
    notes = []
    for entry in inputs:
        times_ms: list[int] = []
        if entry.kind == "rows":
            times_ms = [at_ms for _, at_ms, _, _ in entry.content["rows"]]
        elif entry.kind == "ledger":
            times_ms = [item["began_us"] // 1000 for item in entry.content["intervals"]]
        latest_ms = max(times_ms, default=0)
        if latest_ms > 1000 * (now + _CLOCK_ERROR).timestamp():
            notes.append(
                f"{entry.name} has the time {_utc(latest_ms)}, after {now:%Y-%m-%dT%H:%M:%SZ} of "
                "this machine: one of the two clocks is wrong."
            )
    return notes


def _describe(entry: DossierInput) -> str:
    content = entry.content
    if entry.kind == "record":
        return (
            f"serial {content['serial'] or 'none'}, ended {content['ended_utc']}: "
            f"{content['verdict_text']}; key {content['key'][:12]} of "
            f"{'a known' if trust_store.is_known(content['key']) else 'AN UNKNOWN'} bench"
        )
    if entry.kind in ("ledger", "unit", "annual"):
        return name_unit(content) or "names no unit"
    return f"{len(content['rows'])} values" if entry.kind == "rows" else ""


def _derating(inputs: Sequence[DossierInput]) -> Section:
    tables = []
    for entry in _of(inputs, "record"):
        for run in entry.content["runs"]:
            points = derating(run["series"])
            if not points:
                continue
            rows = tuple(
                (
                    f"{point.supply_c} ± 0.5", f"{point.low_pct:.1f}", f"{point.high_pct:.1f}",
                    NOT_MEASURED if point.case_c is None else f"{point.case_c:.1f}",
                    str(point.samples),
                )
                for point in points
            )  # fmt: skip
            clock = f"{run['provenance']['time']} time"
            origin = f"{run['scenario']} of {entry.name}, {devices_text(run)}, {clock}"
            head = ("supply °C", "lowest limit %", "highest limit %", "hottest case °C", "samples")
            tables.append(Table(f"{origin}: {describe_run_verdict(run)}", head, rows))
    note = (
        "Limits of the loads in percent of their highest limit in the run, by the true supply "
        "temperature. At least 5 samples of 1 s for each row."
    )
    return Section("Derating curves", (note if tables else NOT_MEASURED,), tuple(tables))


def _load_profile(inputs: Sequence[DossierInput]) -> Section:
    tables, notes = [], []
    for entry in _of(inputs, "rows"):
        for profile in load_profiles(entry.content["rows"]):
            rows = tuple(
                (f"{hour.hour:02}", str(hour.intervals), f"{hour.mean_w / 1000:.2f}",
                 f"{hour.low_w / 1000:.2f}", f"{hour.peak_w / 1000:.2f}")
                for hour in profile.hours
            )  # fmt: skip
            head = ("hour UTC", "intervals", "mean kW", "lowest mean kW", "peak kW")
            tables.append(Table(f"{profile.unit} in {entry.name}", head, rows))
            notes.append(
                f"{profile.unit}: {profile.intervals} intervals of {profile.interval_s} s (by the "
                "changes of the values), aligned to UTC, "
                f"from {_utc(profile.first_ms)} to {_utc(profile.last_ms)}; "
                f"{profile.missing_count} are missing{_first(profile.missing)}."
            )
        notes += [
            f"{unit} in {entry.name}: {NOT_MEASURED}: {reason}."
            for unit, reason in missing_profiles(entry.content["rows"])
        ]
        if not entry.content["rows"]:
            notes.append(f"{entry.name}: {NOT_MEASURED}: the file has no row with UTC.")
    if not tables:
        notes.insert(0, NOT_MEASURED)
    return Section("Load profile", tuple(notes), tuple(tables))


def _first(missing: tuple[int, ...]) -> str:
    return f", the first at {_utc(missing[0])}" if missing else ""


def _utc(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _link(inputs: Sequence[DossierInput]) -> Section:
    tables = [_coexistence(entry) for entry in _of(inputs, "coexistence")]
    for entry in _of(inputs, "latency"):
        rows = tuple(
            (row["class"], row["carrier"], str(row["count"]),
             *(str(row.get(f"p{share}_s", "")) for share in (50, 90, 99)))
            for row in entry.content["latency"]
        )  # fmt: skip
        head = ("class", "carrier", "records", "50 % below s", "90 %", "99 %")
        tables.append(Table(f"Delivery times, {entry.name}", head, rows))
    notes = [] if tables else [NOT_MEASURED]
    notes += [
        f"{entry.name}: supports no clause; verdict {entry.content['verdict']}, and a loss in "
        "epochs at rest and in transmission is necessary."
        for entry in _of(inputs, "coexistence")
        if not has_coexistence(entry.content)
    ]
    return Section("Link and radio", tuple(notes), tuple(tables))


def _coexistence(entry: DossierInput) -> Table:
    content = entry.content
    rows = [
        (f"C/N0 {band}, dBHz", _text(value["rest_dbhz"]), f"loss {_text(value['loss_db'])} dB")
        for band, value in content["bands"].items()
    ]
    for key, name in (("fixes_pct", "fixes, %"), ("time_error_ms", "time error, ms")):
        pair = content.get(key) or {}
        rows.append((name, _text(pair.get("rest")), _text(pair.get("transmitting"))))
    spacing = _text(content.get("spacing_m"), "not entered")
    temperature = _text(content.get("temperature_c"), "not entered")
    title = (
        f"Coexistence, {entry.name}: {content['verdict']}; spacing {spacing} m, {temperature} °C"
    )
    return Table(title, ("figure", "at rest", "transmitting"), tuple(rows))


def _text(value: object, absent: str = NOT_MEASURED) -> str:
    return absent if value is None else str(value)


def _pue(inputs: Sequence[DossierInput]) -> Section:
    tables, notes = [], []
    for entry in _of(inputs, "ledger"):
        content = entry.content
        rows = tuple(
            (
                item["interval"],
                _utc(item["began_us"] // 1000) if item["began_us"] else "UTC unknown",
                _kilo(item["it_wh"]),
                *(_milli(item[f"{key}_milli"]) for key in ("pue", "loop_pue", "wue", "erf")),
            )
            for item in content["intervals"]
        )
        head = ("interval", "since", "IT kWh", "PUE", "partial PUE loop", "WUE L/kWh", "ERF")
        name = f"{content['site']}/{content['unit']}, category {content['category']}"
        whole = any(is_year(content, item) for item in content["intervals"])
        if not rows:
            notes.append(f"{name}: {NOT_MEASURED}: the file has no interval.")
            continue
        tables.append(Table(name, head, rows))
        notes.append(
            f"{name} of ISO/IEC 30134-2; all energy is {content['total_is']}; {content['months']} "
            f"whole months. {'' if whole else 'The PUE is an interim value: under 12 months.'}"
        )
    for entry in _of(inputs, "annual"):
        content = entry.content
        values = tuple(
            (f["name"], _rounded(f["value"]), f["unit"], _rounded(f["uncertainty_pct"], NOT_KNOWN))
            for f in content["figures"]
            if f["name"] in METERED
        )
        notes += [
            f"{entry.name}: {f['name']} is not here: no meter shows it, it is calculated with "
            "values of the site file."
            for f in content["figures"]
            if f["name"] not in METERED and f["value"] is not None
        ]
        columns = ("figure", "value", "unit", "expanded uncertainty % (k = 2)")
        tables.append(Table(f"{entry.name}, {content['interval']}", columns, values))
        missing = ", ".join(content["missing"]) or "none"
        notes.append(f"{entry.name}: category {content['category']}; missing months: {missing}.")
    return Section("PUE protocol", tuple(notes) or (NOT_MEASURED,), tuple(tables))


def _rounded(value: float | None, absent: str = NOT_MEASURED) -> str:
    return absent if value is None else f"{value:.6g}"


def _milli(value: int | None) -> str:
    return NOT_MEASURED if value is None else f"{value / 1000:.3f}"


def _kilo(value: float) -> str:
    return f"{value / 1000:.2f}"


def _interfaces(inputs: Sequence[DossierInput]) -> Section:
    tables = []
    devices: dict[tuple[str, ...], int] = {}
    for entry in _of(inputs, "record"):
        for run in entry.content["runs"]:
            for d in run["provenance"]["devices"]:
                key = tuple(
                    str(d[k] or "") for k in ("name", "kind", "port", "profile", "identity")
                )
                devices[key] = devices.get(key, 0) + 1
    if devices:
        head = ("device", "kind", "port", "profile", "identity as read", "runs")
        rows = tuple((*key, str(count)) for key, count in sorted(devices.items()))
        tables.append(Table("Devices that answered", head, rows))
    for entry in _of(inputs, "unit"):
        title = f"Interfaces by the configuration {entry.name}"
        tables += [Table(title, ("name", "address"), _ports(entry.content))]
    for entry in _of(inputs, "footprint"):
        figures = footprint_figures(entry.content)
        rows = tuple((key, _text(value)) for key, value in sorted(figures.items()))
        tables.append(Table(f"Footprint, {entry.name}", ("figure", "value"), rows))
    notes = () if _of(inputs, "footprint") else (f"Footprint: {NOT_MEASURED}.",)
    return Section("Interfaces and footprints", notes, tuple(tables))


def _ports(config: dict[str, Any]) -> tuple[tuple[str, ...], ...]:
    """Return the addresses of a configuration, without options and logins: those are secrets."""
    found = [(f"bus {name}", address) for name, address in sorted(config["buses"].items())]
    for name in ("receiver", "broker"):
        section = config.get(name)
        address = (
            section.get("port") or section.get("address") if isinstance(section, dict) else section
        )
        if isinstance(address, str):
            found.append((name, address))
    return tuple((name, _public_address(address)) for name, address in found)


def _public_address(address: object) -> str:
    """Return an address without options and login; only its kind, if an option contains `@`."""
    if not isinstance(address, str):
        return "not a text"
    head, _, options = address.partition("?")
    kind, _, rest = head.partition(":")
    if "@" in options:
        return f"{kind}: (address not shown: it has a login)"
    return f"{kind}:{rest.rpartition('@')[2]}" if "@" in rest else head


def _clauses(inputs: Sequence[DossierInput], supplied: Sequence[SuppliedEvidence]) -> Section:
    rows = map_clauses(inputs, supplied)
    cells = tuple((row.id, row.title, "; ".join(row.evidence) or NOT_COVERED) for row in rows)
    covered = sum(bool(row.evidence) for row in rows)
    note = (
        f"{covered} of {len(rows)} clauses have supporting evidence. Support is no statement of "
        "conformity: an accredited laboratory decides."
    )
    return Section("Clauses", (note,), (Table("", ("clause", "subject", "evidence"), cells),))
