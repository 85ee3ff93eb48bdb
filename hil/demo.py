"""The demo: the agent controls an emulated row over real ports, and one watches.

Not a test: `hil.run.real` judges scenarios. After 20 s the IT load steps from 50 to 100 kW, so that
one sees the loops answer. On a terminal the page is drawn anew every second until Ctrl-C;
elsewhere a line is printed now and then and the demo ends after 60 s, unless told otherwise.
"""

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Any

from agent.telemetry.status_text import clock_text, number, utc_text
from hil.bench.testbed_settings import Setting
from hil.errors import BenchError
from hil.measure.registry import utc_error_ms
from hil.run.real import stop_on_signals
from hil.run.real_bench import RealBench

_SECOND = 1_000_000
STEP_AT_S, STEP_KW = 20, 100.0
SUPPLY_LIMIT_C = 40.0
UTC_LIMIT_MS = 50.0
LEAST_ACKNOWLEDGED = 0.9
_PAGE_TOP = "\x1b[H\x1b[2J"


class Demo:
    """One run of the demo. `seconds` None: until interrupted. `broker` HOST:PORT: one's own."""

    def __init__(
        self, seconds: int | None, broker: str | None, as_json: bool, page: bool = False
    ) -> None:
        self._limit = seconds
        self._broker = broker
        self._json = as_json
        self._with_page = page and not as_json
        self._address = ""
        self._live = sys.stdout.isatty() and not as_json
        self._seconds = 0
        self._status: dict[str, Any] | None = None
        self._worst_supply = -273.0
        self._worst_utc: float | None = None

    def run(self) -> int:
        """Run it; return 0 for pass, 1 for fail."""
        with (
            contextlib.ExitStack() as closing,
            RealBench(Setting(), seed=1, broker=self._broker) as bench,
        ):
            stop_on_signals(bench)
            log = bench.folder / "agent.log"
            closing.enter_context(self._page_of(bench))
            bench.world.at(STEP_AT_S * _SECOND, bench.row.plant.set_load, STEP_KW)
            bench.world.at(_SECOND, self._each_second, bench)
            bench.start_agent(log=log)
            until = None if self._limit is None else int((self._limit + 0.6) * _SECOND)
            try:
                bench.shell.run(until)
            except BenchError:
                print(log.read_text(encoding="utf-8"), end="", file=sys.stderr)
                raise
            record = self._record(bench)
        self._show_end(record)
        return 0 if record["verdict"] == "pass" else 1

    @contextlib.contextmanager
    def _page_of(self, bench: RealBench) -> Iterator[None]:
        """Serve the live page beside the terminal; its address is printed."""
        if not self._with_page:
            yield
            return
        from hil.page.embedded import guest  # noqa: PLC0415

        with guest(bench) as address:
            self._address = address
            if not self._live:
                print(f"page  {address}", flush=True)
            yield

    def _each_second(self, bench: RealBench) -> None:
        self._seconds += 1
        bench.world.at((self._seconds + 1) * _SECOND, self._each_second, bench)
        code = bench.agent_ended()
        if code is not None:
            raise BenchError(f"the agent ended with {code}")
        self._status = bench.status()
        self._worst_supply = max(self._worst_supply, bench.row.plant.supply_true_c)
        if self._status is None:
            return
        error = utc_error_ms(bench.row, self._status)
        if error is not None:
            self._worst_utc = max(self._worst_utc or 0.0, abs(error))
        if self._live:
            print(_PAGE_TOP + self._page(bench, self._status), flush=True)
        elif not self._json and self._seconds % 5 == 0:
            print(self._line(bench, self._status), flush=True)

    def _page(self, bench: RealBench, status: dict[str, Any]) -> str:
        supply, dp, plant = status["supply"], status["dp"], bench.row.plant
        telemetry, modbus = status["telemetry"], status["modbus"]
        alarms = [a["code"] for a in status["alarms"]]
        rows = [
            f"coldloop demo   {self._seconds} s   state {status['state'].upper()}   Ctrl-C ends it",
            f"page       {self._address}" if self._address else "",
            "",
            f"UTC        {utc_text(status['utc_us'])}   {clock_text(status)}",
            f"load       {plant.it_kw:6.1f} kW   {self._next_step()}",
            _row("supply", supply["milli_c"], "C", supply["setpoint_milli_c"]),
            _row("return", supply["return_milli_c"], "C"),
            _row("dP", dp["milli_kpa"], "kPa", dp["setpoint_milli_kpa"]),
            _gauge("valve", supply["valve_milli_pct"]),
        ]
        speeds = dp["pumps_milli_pct"]
        rows += [_gauge(f"pump {i + 1}", speed) for i, speed in enumerate(speeds)]
        rows += [
            f"ticks      {status['ticks']['count']} run, {status['ticks']['missed']} missed",
            f"modbus     {modbus['transactions']} transactions, {modbus['errors']} errors",
            f"telemetry  {telemetry['acknowledged']} of {telemetry['published']} acknowledged",
            f"alarms     {', '.join(alarms) or 'none'}",
        ]
        return "\n".join(rows)

    def _next_step(self) -> str:
        if self._seconds < STEP_AT_S:
            return f"steps to {STEP_KW:.0f} kW in {STEP_AT_S - self._seconds} s"
        return f"stepped at {STEP_AT_S} s"

    def _line(self, bench: RealBench, status: dict[str, Any]) -> str:
        supply, dp, telemetry = status["supply"], status["dp"], status["telemetry"]
        speeds = "/".join(number(s, 0) for s in dp["pumps_milli_pct"])
        alarms = ",".join(a["code"] for a in status["alarms"]) or "none"
        return (
            f"{self._seconds:4d} s  {utc_text(status['utc_us'])} {status['clock']['state']}  "
            f"load {bench.row.plant.it_kw:5.1f} kW  supply {number(supply['milli_c'])} C "
            f"(set {number(supply['setpoint_milli_c'])})  "
            f"return {number(supply['return_milli_c'])} C  "
            f"valve {number(supply['valve_milli_pct'])} %  dP {number(dp['milli_kpa'])} kPa  "
            f"pumps {speeds} %  sent {telemetry['acknowledged']}/{telemetry['published']}  "
            f"alarms {alarms}"
        )

    def _record(self, bench: RealBench) -> dict[str, Any]:
        status = bench.status()
        if status is None:
            if bench.shell.stopped:
                raise BenchError("interrupted before the agent had said anything")
            raise BenchError("the agent has said nothing; is the machine overloaded?")
        record: dict[str, Any] = {
            "verdict": "pass",
            "ticks": status["ticks"]["count"],
            "missed_ticks": status["ticks"]["missed"],
            "utc_error_ms": None if self._worst_utc is None else round(self._worst_utc, 3),
            "supply_c": round(bench.row.plant.supply_true_c, 2),
            "worst_supply_c": round(self._worst_supply, 2),
            "setpoint_c": status["supply"]["setpoint_milli_c"] / 1000,
            "modbus": {k: status["modbus"][k] for k in ("transactions", "errors")},
            "telemetry": {k: status["telemetry"][k] for k in ("published", "acknowledged")},
        }
        if self.failures(record):
            record["verdict"] = "fail"
        return record

    @staticmethod
    def failures(record: dict[str, Any]) -> list[str]:
        """List what a record of the demo falls short of."""
        telemetry, utc = record["telemetry"], record["utc_error_ms"]
        checks = (
            (record["ticks"] > 0 and record["missed_ticks"] == 0, "a tick was missed"),
            (
                record["modbus"]["transactions"] > 0 and record["modbus"]["errors"] == 0,
                "the bus had an error",
            ),
            (record["worst_supply_c"] <= SUPPLY_LIMIT_C, "the supply was above its limit"),
            (
                telemetry["acknowledged"] > 0
                # The newest row may be on its way: the status is written in the tick that sends it.
                and telemetry["acknowledged"] >= LEAST_ACKNOWLEDGED * (telemetry["published"] - 1),
                "less than 90 % was acknowledged",
            ),
            (utc is not None and utc <= UTC_LIMIT_MS, "UTC was not known within 50 ms"),
        )
        return [text for good, text in checks if not good]

    def _show_end(self, record: dict[str, Any]) -> None:
        if self._json:
            print(json.dumps(record))
            return
        failures = self.failures(record)
        print(f"\n{record['verdict'].upper()}  " + ("; ".join(failures) or "all within limits"))


def _row(name: str, milli: int | None, unit: str, setpoint: int | None = None) -> str:
    aim = "" if setpoint is None else f"   set-point {number(setpoint)} {unit}"
    return f"{name:10} {number(milli):>6} {unit:3}{aim}"


def _gauge(name: str, milli_pct: int | None, width: int = 40) -> str:
    filled = 0 if milli_pct is None else max(0, min(width, milli_pct * width // 100_000))
    return f"{name:10} {number(milli_pct):>6} %    " + "#" * filled + "." * (width - filled)
