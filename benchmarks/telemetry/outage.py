# SPDX-License-Identifier: Apache-2.0
"""Long link outage and its end: flash, first receipt, newest alarm, rate of the log transfer.

    python -m benchmarks.telemetry.outage [--hours 72] [--rate 22000] [--rtt-ms 600]

The model of the link is a byte pipe in virtual time (`hil.io.endpoints.TcpEndpoint`) with an uplink
rate and a delay each way. A TCP segment of 1,400 bytes costs 40 bytes more; there is no loss and no
slow
start. The agent, its log, its MQTT client and the bytes of the emulated broker are real. The code
of the log fills the flash with the 40-signal stream of the outage. Then a controller starts on that
flash without a link, an alarm is raised, and the link comes up. Not tested with a real modem.
"""

import argparse
import sys
from dataclasses import replace
from typing import Any

from agent.log.compactor import BlockCompactor
from agent.log.record_store import RecordStore
from agent.port_numbers import BROKER
from benchmarks.common import Record, describe_machine, show
from benchmarks.telemetry import stream
from hil.bench.testbed import LinkControl
from hil.io.endpoints import TcpEndpoint
from hil.run.virtual import VirtualRun
from hil.scenario.loader import parse
from hil.scenario.model import Scenario
from protocols.telemetry import block, message, varint

_SECOND = 1_000_000
_ROWS = 60
_SEGMENT, _HEADS = 1400, 40
_SETTINGS = {"bytes": 1 << 24, "segment_bytes": 4096, "live_ttl_s": 0, "bulk_ttl_s": 0}
_SCENARIO = """
name = "link"
title = "link"
seconds = 3600
[row]
parts = "log"
[[expect]]
measure = "ticks"
min = 0
"""


class RateLimitedEnd(TcpEndpoint):
    """A TCP port with an uplink rate that counts IP bytes."""

    rate_bps = 0
    sent = 0
    connected_at = 0
    """Time of the first connection."""
    _free_at = 0

    def _connected(self, attempt: int) -> None:
        super()._connected(attempt)
        if self._is_connected and not self.connected_at:
            self.connected_at = self._shell.world.now

    def write(self, data: bytes) -> None:
        """Send bytes with the uplink rate."""
        if not self._is_connected:
            return
        world = self._shell.world
        wire = len(data) + _HEADS * -(-len(data) // _SEGMENT)
        self.sent += wire
        self._free_at = max(self._free_at, world.now) + wire * 8 * _SECOND // self.rate_bps
        world.schedule(
            self._free_at + self.device_link.latency_us, self._arrive, self._conn_number, data
        )


def fill_flash(hours: float, seed: int, merge_rows: int) -> tuple[dict[str, bytes], int]:
    """Fill a flash with an outage; return the records and the bytes of the blocks."""
    compactor = BlockCompactor(merge_rows, bytes(4), len(stream.NAMES) + 3) if merge_rows else None
    record_store = RecordStore("bench/cdu1", _SETTINGS, compactor)
    flash: dict[str, bytes] = {}
    record_store.event("opened", 0)
    blocks = 0
    _process_store(record_store, compactor, flash)
    count = int(hours * 3600)
    columns = stream.columns(seed, count)
    for at in range(0, count, _ROWS):
        now = (at + _ROWS) * _SECOND
        extra = bytearray()
        varint.put(1, extra)
        varint.put(at * 1000, extra)
        times: list[int | None] = [1_795_500_000_000 + 1000 * (at + i) for i in range(_ROWS)]
        zeros: list[int | None] = [0] * _ROWS
        part: list[list[int | None]] = [[*column[at : at + _ROWS]] for column in columns]
        data = block.encode(bytes(4), at + 1, [times, zeros, zeros, *part], bytes(extra))
        blocks += len(data)
        record_store.append(message.BULK, message.ROWS, data, now)
        _process_store(record_store, compactor, flash)
    return flash, blocks


def _process_store(
    record_store: RecordStore, compactor: BlockCompactor | None, flash: dict[str, bytes]
) -> None:
    for requests in iter(record_store.outbox, []):
        for op, data in requests:
            name, _, payload = data.partition(b"\0")
            key = name.decode()
            if op == "write":
                flash[key] = payload
            elif op == "append":
                flash[key] += payload
            elif op == "delete":
                flash.pop(key, None)
            else:
                result = b"\0" + flash[key] if key in flash else b""
                record_store.receive(b"\0" if op == "list" else name + result, record_store.now)
            record_store.event("drained", record_store.now)
    if compactor is not None and compactor.is_coding():
        while compactor.is_coding():
            compactor.step()
        record_store.advance(record_store.now)
        _process_store(record_store, compactor, flash)


class Drain:
    """A unit on a filled flash, and the times of the events after link-up."""

    def __init__(self, flash: dict[str, bytes], rate_bps: int, rtt_us: int, hours: float) -> None:
        scenario: Scenario = parse(_SCENARIO, "link")
        seconds = 1000 + 2 * 8 * sum(map(len, flash.values())) / rate_bps
        run = self.run = VirtualRun(replace(scenario, seconds=seconds), 1)
        run.testbed.stores["log"].records.update(flash)
        end = self.end = RateLimitedEnd(run.shell, BROKER, run.testbed.broker, rtt_us // 2)
        end.rate_bps = rate_bps
        end.down = True
        run.shell.endpoints[BROKER] = end
        run.testbed.connect_link(
            LinkControl(
                end.set_down,
                publish=lambda topic, payload, retain: end.device_link.send_replies(
                    run.testbed.broker.publish(topic, payload, run.world.now, 1, retain)
                ),
            )
        )
        self.rtt_us = rtt_us
        self.drained_at = 0
        """Time at which the log was empty."""

    def run_drain(self, up_s: int = 60) -> Record:
        """Raise an alarm 5 s before link-up, then run."""
        run, ground = self.run, self.run.testbed.ground
        assert ground is not None
        run.testbed.world.schedule((up_s - 5) * _SECOND, run.testbed.drives[0].trip)
        run.testbed.world.schedule(up_s * _SECOND, self._set_link_up)
        marks: dict[str, Any] = {}

        def check_drained(second: int) -> None:
            status = run.status
            if status is None or second <= up_s or self.drained_at:
                return
            waiting = sum(status["log"]["waiting"].values())
            if waiting <= 3:
                self.drained_at = run.world.now
                marks["sent"] = self.end.sent
                marks["payload"] = ground.payload_bytes

        run.run(check_drained)
        order = [(ground.arrival_us[key], key.number & 3) for key in ground.arrival_order]
        bulk = [at for at, group in order if group == message.BULK]
        opened = self.end.connected_at - self.rtt_us
        elapsed = (self.drained_at - opened) / _SECOND
        first = order[0][0] + ground.delay_us
        alarms = [at for at, group in order if group == message.ALARM]
        payload = marks["payload"]
        return {
            "backlog_records": len(bulk),
            "first_receipt_s": (first + self.rtt_us // 2 - opened) / _SECOND,
            "newest_alarm_s": (max(at for at in alarms if at < bulk[0]) - opened) / _SECOND,
            "alarms_before_backlog": all(at <= bulk[0] for at in alarms[:2]),
            "drain_s": elapsed,
            "drained_ip_bytes": marks["sent"],
            "rate_used_pct": 100 * marks["sent"] * 8 / self.end.rate_bps / elapsed,
            "payload_rate_pct": 100 * payload * 8 / self.end.rate_bps / elapsed,
            "ip_over_payload": marks["sent"] / payload,
            "twice": ground.duplicates,
            "lost": ground.lost,
        }

    def _set_link_up(self) -> None:
        self.end.down = False


def measure(hours: float, rate_bps: int, rtt_ms: int, merge_rows: int) -> Record:
    """Fill the flash, then transfer the log."""
    flash, blocks = fill_flash(hours, 1, merge_rows)
    size = sum(map(len, flash.values()))
    drain = Drain(flash, rate_bps, rtt_ms * 1000, hours)
    return {
        "machine": describe_machine(),
        "hours": hours,
        "rate_bps": rate_bps,
        "rtt_ms": rtt_ms,
        "merge_rows": merge_rows,
        "flash_bytes": size,
        "block_bytes": blocks,
        "files": len(flash),
        "bits_per_value": 8 * size / (hours * 3600 * len(stream.NAMES)),
        **drain.run_drain(),
    }


def main(arguments: "list[str] | None" = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.telemetry.outage")
    parser.add_argument("--hours", type=float, default=72)
    parser.add_argument("--rate", type=int, default=22_000, metavar="BPS")
    parser.add_argument("--rtt-ms", type=int, default=600)
    parser.add_argument("--merge-rows", type=int, default=360, metavar="ROWS")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    record = measure(options.hours, options.rate, options.rtt_ms, options.merge_rows)
    rows = [(name, value) for name, value in record.items() if name != "machine"]
    shown = [(n, round(v, 3) if isinstance(v, float) else v) for n, v in rows]
    show(record, options.json, ("figure", "value"), shown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
