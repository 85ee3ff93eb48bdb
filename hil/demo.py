# SPDX-License-Identifier: Apache-2.0
"""The demo: the agent controls an emulated row over real ports.

Does not judge scenarios; see `hil.run.real`. After 20 s the IT load steps from 50 to 100 kW, and
the control loops respond. On a terminal the values are drawn again every second until Ctrl-C.
Elsewhere the demo prints a line every 5 s and ends after 60 s, unless `--seconds` says otherwise.
The seconds count from the first status of the agent, as in `hil.run.real`: an interpreter can take
long to start on a busy machine.
"""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

from agent.telemetry.status_text import clock_text, number, utc_text
from hil.bench.testbed_settings import TestbedSettings
from hil.errors import INTERRUPTED, BenchError
from hil.measure.registry import utc_error_ms
from hil.run.real import START_TIMEOUT_S, stop_on_signals
from hil.run.real_bench import RealBench
from hil.run.site_servers import PARTS, are_installed

_SECOND = 1_000_000
STEP_AT_S, STEP_KW = 20, 100.0
SUPPLY_LIMIT_C = 40.0
UTC_LIMIT_MS = 50.0
MIN_ACKNOWLEDGED = 0.9
_REPLY_TIMEOUT_MS = 100
"""An agent waits at least so long for a reply on a serial line, ms."""
_CLEAR_SCREEN = "\x1b[H\x1b[2J"


class Demo:
    """One run of the demo. `seconds` None: until interrupted. `broker`: HOST:PORT of another
    broker. `keys`: public keys whose changes the unit takes; the load is then constant.
    """

    def __init__(
        self,
        seconds: int | None,
        broker: str | None,
        as_json: bool,
        page: bool = False,
        keys: list[dict[str, Any]] | None = None,
    ) -> None:
        self._keys = keys or []
        self._duration_s = seconds
        self._broker = broker
        self._as_json = as_json
        self._with_page = page and not as_json
        self._page_address = ""
        self._site_addresses: list[tuple[str, str]] = []
        self._is_live = sys.stdout.isatty() and not as_json
        self._seconds = 0
        self._status: dict[str, Any] | None = None
        self._worst_supply_c = -273.0
        self._worst_utc_ms: float | None = None

    def run(self) -> int:
        """Run the demo; give 0 for pass, 1 for fail, 130 for Ctrl-C before a given duration."""
        with_site = self._with_page and are_installed()
        settings = TestbedSettings(parts=PARTS if with_site else "remote" if self._keys else "")
        with (
            contextlib.ExitStack() as stack,
            RealBench(settings, seed=1, broker=self._broker) as bench,
        ):
            stop_on_signals(bench)
            log = bench.folder / "agent.log"
            stack.enter_context(self._serve_page(bench))
            if with_site:
                bench.add_site_servers()
            bench.operator_keys = self._keys
            bench.world.schedule(_SECOND, self._on_second, bench)
            bench.start_agent(log=log)
            self._start_site(bench, stack)
            try:
                bench.shell.run()
            except BenchError:
                print(log.read_text(encoding="utf-8"), end="", file=sys.stderr)
                raise
            record = self._make_record(bench)
        self._print_verdict(record)
        return {"pass": 0, "fail": 1}.get(record["verdict"], INTERRUPTED)

    @contextlib.contextmanager
    def _serve_page(self, bench: RealBench) -> Iterator[None]:
        """Serve the live page while the block runs, and print its address."""
        if not self._with_page:
            yield
            return
        from hil.page.embedded import serve_embedded  # noqa: PLC0415

        with serve_embedded(bench) as address:
            self._page_address = address
            if not self._is_live:
                print(f"page  {address}", flush=True)
            yield

    def _start_site(self, bench: RealBench, stack: contextlib.ExitStack) -> None:
        """Start the northbound servers, and print their addresses."""
        servers = bench.site_servers
        if servers is None:
            return
        servers.start()
        stack.callback(servers.stop)
        self._site_addresses = servers.addresses()
        if not self._is_live:
            for name, address in self._site_addresses:
                print(f"{name:<8} {address}", flush=True)

    def _on_second(self, bench: RealBench, number: int = 1) -> None:
        bench.world.schedule((number + 1) * _SECOND, self._on_second, bench, number + 1)
        code = bench.agent_exit_code()
        if code is not None:
            raise BenchError(f"the agent ended with exit code {code}")
        self._worst_supply_c = max(self._worst_supply_c, bench.testbed.plant.supply_true_c)
        is_first = self._status is None
        self._status = bench.status()
        if self._status is None:
            if number >= START_TIMEOUT_S:
                raise BenchError("the agent sent no status; check the load of the machine")
            return
        if is_first:
            self._begin(bench, (number - 1) * _SECOND)
        self._seconds += 1
        error = utc_error_ms(bench.testbed, self._status)
        if error is not None:
            self._worst_utc_ms = max(self._worst_utc_ms or 0.0, abs(error))
        if self._is_live:
            print(_CLEAR_SCREEN + self._page_text(bench, self._status), flush=True)
        elif not self._as_json and self._seconds % 5 == 0:
            print(self._line_text(bench, self._status), flush=True)

    def _begin(self, bench: RealBench, start_us: int) -> None:
        """Schedule the step of the load and the end of the demo, which begins at `start_us`."""
        if not self._keys:
            step_us = start_us + STEP_AT_S * _SECOND
            bench.world.schedule(step_us, bench.testbed.plant.set_load, STEP_KW)
        if self._duration_s is not None:
            end_us = start_us + int((self._duration_s + 0.6) * _SECOND)
            bench.world.schedule(end_us, bench.shell.stop_run)

    def _page_text(self, bench: RealBench, status: dict[str, Any]) -> str:
        supply, dp, plant = status["supply"], status["dp"], bench.testbed.plant
        telemetry, modbus = status["telemetry"], status["modbus"]
        alarms = [alarm["code"] for alarm in status["alarms"]]
        lines = [
            f"coldloop demo   {self._seconds} s   state {status['state'].upper()}   stop: Ctrl-C",
            f"page       {self._page_address}" if self._page_address else "",
            *(f"{name:<10} {address}" for name, address in self._site_addresses),
            "",
            f"UTC        {utc_text(status['utc_us'])}   {clock_text(status)}",
            f"load       {plant.it_kw:6.1f} kW   {self._step_text()}",
            _value_line("supply", supply["milli_c"], "C", supply["setpoint_milli_c"]),
            _value_line("return", supply["return_milli_c"], "C"),
            _value_line("dP", dp["milli_kpa"], "kPa", dp["setpoint_milli_kpa"]),
            _bar_line("valve", supply["valve_milli_pct"]),
        ]
        speeds = dp["pumps_milli_pct"]
        lines += [_bar_line(f"pump {i + 1}", speed) for i, speed in enumerate(speeds)]
        lines += [
            f"ticks      {status['ticks']['count']} run, {status['ticks']['missed']} missed",
            f"modbus     {modbus['transactions']} transactions, {modbus['errors']} errors",
            f"telemetry  {telemetry['acknowledged']} of {telemetry['published']} at the broker",
            f"alarms     {', '.join(alarms) or 'none'}",
        ]
        return "\n".join(lines)

    def _step_text(self) -> str:
        if self._keys:
            return "constant"
        if self._seconds < STEP_AT_S:
            return f"steps to {STEP_KW:.0f} kW in {STEP_AT_S - self._seconds} s"
        return f"stepped at {STEP_AT_S} s"

    def _line_text(self, bench: RealBench, status: dict[str, Any]) -> str:
        supply, dp, telemetry = status["supply"], status["dp"], status["telemetry"]
        speeds = "/".join(number(speed, 0) for speed in dp["pumps_milli_pct"])
        alarms = ",".join(alarm["code"] for alarm in status["alarms"]) or "none"
        return (
            f"{self._seconds:4d} s  {utc_text(status['utc_us'])} {status['clock']['state']}  "
            f"load {bench.testbed.plant.it_kw:5.1f} kW  supply {number(supply['milli_c'])} C "
            f"(set {number(supply['setpoint_milli_c'])})  "
            f"return {number(supply['return_milli_c'])} C  "
            f"valve {number(supply['valve_milli_pct'])} %  dP {number(dp['milli_kpa'])} kPa  "
            f"pumps {speeds} %  sent {telemetry['acknowledged']}/{telemetry['published']}  "
            f"alarms {alarms}"
        )

    def _make_record(self, bench: RealBench) -> dict[str, Any]:
        status = bench.status()
        if status is None:
            raise BenchError("interrupted before the first status of the agent")
        record: dict[str, Any] = {
            "verdict": "pass",
            "ticks": status["ticks"]["count"],
            "missed_ticks": status["ticks"]["missed"],
            "load": round(os.getloadavg()[0], 1),
            "bench_late_ms": bench.shell.worst_delay_us // 1000,
            "utc_error_ms": None if self._worst_utc_ms is None else round(self._worst_utc_ms, 3),
            "supply_c": round(bench.testbed.plant.supply_true_c, 2),
            "worst_supply_c": round(self._worst_supply_c, 2),
            "setpoint_c": status["supply"]["setpoint_milli_c"] / 1000,
            "modbus": {key: status["modbus"][key] for key in ("transactions", "errors")},
            "telemetry": {key: status["telemetry"][key] for key in ("published", "acknowledged")},
        }
        if self._is_cut(bench):
            record["verdict"] = "interrupted"
        elif self.list_failures(record):
            record["verdict"] = "fail"
        return record

    def _is_cut(self, bench: RealBench) -> bool:
        """Return whether a signal came before the end; without a duration it is the end."""
        return bench.shell.stopped and self._seconds < (self._duration_s or 0)

    @staticmethod
    def list_failures(record: dict[str, Any]) -> list[str]:
        """List the failed criteria of a record of the demo."""
        telemetry, utc = record["telemetry"], record["utc_error_ms"]
        checks = (
            (record["ticks"] > 0 and record["missed_ticks"] == 0, describe_missed(record["load"])),
            (
                record["modbus"]["transactions"] > 0 and record["modbus"]["errors"] == 0,
                describe_bus_error(record["bench_late_ms"], record["load"]),
            ),
            (
                record["worst_supply_c"] <= SUPPLY_LIMIT_C,
                "the supply temperature was above its limit",
            ),
            (
                telemetry["acknowledged"] > 0
                # The newest row can be unacknowledged: the status is written in the tick that sends
                # it.
                and telemetry["acknowledged"] >= MIN_ACKNOWLEDGED * (telemetry["published"] - 1),
                "less than 90 % of the telemetry was confirmed by the broker",
            ),
            (utc is not None and utc <= UTC_LIMIT_MS, "the UTC error was above 50 ms or unknown"),
        )
        return [text for passed, text in checks if not passed]

    def _print_verdict(self, record: dict[str, Any]) -> None:
        if self._as_json:
            print(json.dumps(record))
            return
        failures = self.list_failures(record)
        if record["verdict"] == "interrupted":
            failures = [f"after {self._seconds} of {self._duration_s} s: not judged"]
        print(f"\n{record['verdict'].upper()}  " + ("; ".join(failures) or "all within limits"))


def _value_line(name: str, milli: int | None, unit: str, setpoint: int | None = None) -> str:
    setpoint_text = "" if setpoint is None else f"   set-point {number(setpoint)} {unit}"
    return f"{name:10} {number(milli):>6} {unit:3}{setpoint_text}"


def _bar_line(name: str, milli_pct: int | None, width: int = 40) -> str:
    filled = 0 if milli_pct is None else max(0, min(width, milli_pct * width // 100_000))
    return f"{name:10} {number(milli_pct):>6} %    " + "#" * filled + "." * (width - filled)


def describe_missed(load: float) -> str:
    """Return the failure for a missed tick. `load`: mean number of running processes in 1 min."""
    return f"a tick was missed: {_describe_load(load)}"


def describe_bus_error(bench_late_ms: int, load: float) -> str:
    """Return the failure for an error on the bus. `bench_late_ms`: the longest time that an
    emulated device was late, which is longer than the agent waits when the machine is busy.
    """
    if bench_late_ms < _REPLY_TIMEOUT_MS:
        return "the bus had an error"
    late = f"the emulated devices were {bench_late_ms} ms late"
    return f"the bus had an error: {late}; {_describe_load(load)}"


def _describe_load(load: float) -> str:
    cpus = os.cpu_count() or 1
    if load <= cpus:
        return f"load {load:.1f} on {cpus} CPUs"
    return f"other programs used this machine (load {load:.1f} on {cpus} CPUs)"
