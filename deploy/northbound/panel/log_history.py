# SPDX-License-Identifier: Apache-2.0
"""Reads the last 24 hours of the agent's log for the trends.

Does not write and does not lock: the agent adds files and removes old ones at any time. Damaged
records are left out. The names of the columns are those of the devices; `log_columns` maps them to
the keys of the point table by the sections `control` and `devices` of the configuration. A block
is decoded in about 3 ms, so the caller can pause after each one.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agent.log import segment
from protocols.errors import DecodeError
from protocols.telemetry import block, merged_block, message
from protocols.telemetry.schema import TIME, Schema, parse_schema

_DAY_S = 24 * 3600
_SENSOR = {
    "SupplyTemperatureCelsius": "supply_temperature",
    "ReturnTemperatureCelsius": "return_temperature",
    "FlowLitersPerMinute": "secondary_flow",
}
_VALVE = {
    "ValvePositionPercent": "valve_position",
    "PrimaryFlowLitersPerMinute": "facility_flow",
    "PrimarySupplyTemperatureCelsius": "facility_supply_temperature",
}
_PRESSURE = {"DeltaPressurekPa": "differential_pressure"}
_PUMP = "PumpSpeedPercent"
_ROWS = (message.ROWS, message.MERGED)

Sample = tuple[float, dict[str, float | None]]


def log_columns(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the key of the point table by the name of the column in the log."""
    control = config.get("control") or {}
    supply, pressure = control.get("supply") or {}, control.get("dp") or {}
    columns: dict[str, str] = {}
    for device, points in (
        (supply.get("sensor"), _SENSOR),
        (supply.get("valve"), _VALVE),
        (pressure.get("sensor"), _PRESSURE),
    ):
        columns.update({f"{device}.{name}": key for name, key in points.items() if device})
    for number, pump in enumerate((pressure.get("pumps") or [])[:2], 1):
        columns[f"{pump}.{_PUMP}"] = f"pump{number}_speed"
    return columns


def log_folder(config: Mapping[str, Any]) -> Path | None:
    """Return the folder of the section `log`; None: no log in files."""
    port = (config.get("log") or {}).get("port", "")
    kind, _, rest = str(port).partition(":")
    return Path(rest.partition("?")[0]) if kind == "store" and rest else None


def read_samples(folder: Path, columns: Mapping[str, str]) -> Iterator[list[Sample]]:
    """Yield the samples of each block, the newest segments first. Never raises."""
    schemas: dict[bytes, Schema] = {}
    stamps: list[tuple[int, Path]] = []
    for file in _segment_files(folder):  # one file in memory at a time: a log can have 100 MiB
        newest_s = 0
        for record in _records(file):
            if record.kind == message.SCHEMA:
                _add_schema(schemas, record.payload)
            elif record.kind in _ROWS:
                newest_s = max(newest_s, record.stamp)
        stamps.append((newest_s, file))
    oldest_s = max((newest_s for newest_s, _ in stamps), default=0) - _DAY_S - 3600
    for newest_s, file in sorted(stamps, reverse=True):
        if newest_s < oldest_s:
            return
        rows = [record for record in _records(file) if record.kind in _ROWS]
        for record in sorted(rows, key=lambda r: -r.stamp):
            if record.stamp >= oldest_s:
                yield _samples(record, schemas, columns)


def _segment_files(folder: Path) -> list[Path]:
    try:
        return sorted(file for file in folder.iterdir() if segment.parse_name(file.name))
    except OSError:
        return []


def _records(file: Path) -> list[segment.LogRecord]:
    name = segment.parse_name(file.name)
    try:
        data = file.read_bytes()
    except OSError:  # removed by the agent
        return []
    if name is None:
        return []
    generation, group, _ = name
    return segment.scan(data, generation, group).records


def _add_schema(schemas: dict[bytes, Schema], payload: bytes) -> None:
    try:
        schema = parse_schema(payload)
    except DecodeError:
        return
    schemas[schema.number] = schema


def _samples(
    record: segment.LogRecord, schemas: Mapping[bytes, Schema], columns: Mapping[str, str]
) -> list[Sample]:
    """Decode one block; [] if it is damaged, or none of its columns is wanted."""
    try:
        payload = record.payload
        if record.kind == message.MERGED:
            payload = merged_block.extract_block(payload)
        schema = schemas.get(block.read_schema_number(payload))
        if schema is None:
            return []
        data = block.decode(payload, len(schema.entries))
    except DecodeError:
        return []
    names = schema.column_names()
    if TIME not in names:
        return []
    wanted = [(i, columns[name]) for i, name in enumerate(names) if name in columns]
    samples: list[Sample] = []
    for index, at_ms in enumerate(data.columns[names.index(TIME)]):
        if at_ms is not None:
            values = {key: _value(schema, data, i, index) for i, key in wanted}
            samples.append((at_ms / 1000, values))
    return samples


def _value(schema: Schema, data: block.Block, column: int, row: int) -> float | None:
    raw = data.columns[column][row]
    _, _, numerator, denominator = schema.entries[column]
    return None if raw is None else raw * numerator / denominator
