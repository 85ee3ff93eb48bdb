# SPDX-License-Identifier: Apache-2.0
"""`coldloop clock serve`: NTP by chronyd and PTP by ptp4l with the time of the agent.

    --write FOLDER   write coldloop.conf for chronyd (conf.d), client.conf and ptp4l.conf
    --check          compare the files, and ask chronyd; exit code 0 if time is served
    neither          supervise: each second read the status of the agent and state its quality

chronyd alone hides an agent that does not trust its time: it coasts, and its clients see nothing.
The supervisor then drops the measurements of chronyd, so that it is not synchronized, and stops
ptp4l. Clients of chronyd with polls of 0.5 s leave after 4 s, those of ptp4l after 3 s.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from agent.commands import age_s, profiles, read_status
from agent.config.text_file import read_file
from agent.core.errors import ConfigError
from agent.runtime.cpython_start import compile_config
from agent.telemetry.status import STATUS_FILE
from agent.tools.clock.site_time import Hysteresis, Statement, make_statement
from agent.tools.clock.time_programs import Chronyd, Grandmaster, find_program
from agent.tools.clock.time_server_files import (
    ServerSettings,
    chrony_text,
    client_text,
    grandmaster_command,
    ptp_text,
)
from drivers.ports.cpython.whole_file import replace_file

EXAMPLE = "coldloop clock serve --config /etc/coldloop/unit.json --allow 10.0.0.0/8"
_PERIOD_S = 1.0
_WITHDRAW_AGAIN_S = 10.0
"""Interval of the checks whether chronyd is synchronized again while the time is withdrawn, s."""
_NO_STATUS = Statement(
    may_serve=False,
    clock_class=248,
    accuracy=0xFE,
    traceable=False,
    utc_offset_s=37,
    reason="the agent writes no status",
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `coldloop clock serve`."""
    parser.add_argument("--config", required=True, metavar="FILE", help="configuration of the unit")
    parser.add_argument("--write", metavar="FOLDER", help="write the files and end")
    parser.add_argument("--check", action="store_true", help="check the set-up and end")
    parser.add_argument(
        "--folder",
        default="/etc/coldloop/time",
        metavar="FOLDER",
        help="folder of the written files (default /etc/coldloop/time)",
    )
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="NETWORK",
        help="network whose clients may ask for NTP; can be repeated",
    )
    parser.add_argument("--ptp", default="", metavar="INTERFACE", help="serve PTP there")
    parser.add_argument(
        "--hardware", action="store_true", help="the interface has hardware timestamps (TAI)"
    )
    parser.add_argument("--nts-cert", default="", metavar="FILE", help="certificate for NTS")
    parser.add_argument("--nts-key", default="", metavar="FILE", help="its key")
    parser.add_argument(
        "--chronyd",
        default="/run/chrony/chronyd.sock",
        metavar="SOCKET",
        help="command socket of chronyd (default /run/chrony/chronyd.sock)",
    )
    parser.add_argument(
        "--run-folder",
        default="/run/coldloop-time",
        metavar="FOLDER",
        help="folder for the sockets of ptp4l (default /run/coldloop-time)",
    )
    parser.add_argument("--seconds", type=float, metavar="N", help="supervise for N seconds")
    parser.add_argument("--json", action="store_true", help="with --check: print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Write, check or supervise."""
    raw = read_file(arguments.config)
    config = compile_config(raw, arguments.config, profiles(arguments.config))
    settings = make_settings(raw, arguments)
    if arguments.write is not None:
        return write_files(settings, Path(arguments.write))
    if config.status_store is None:
        raise ConfigError(f"{arguments.config}: state: missing; the agent writes no status")
    status = Path(str(config.status_store.path)) / STATUS_FILE
    chronyd = Chronyd(arguments.chronyd)
    folder = Path(arguments.folder)
    if arguments.check:
        return check(settings, folder, chronyd, status, as_json=arguments.json)
    if settings.interface and not (folder / "ptp4l.conf").is_file():
        raise ConfigError(f"{folder}/ptp4l.conf: missing; run it with --write {folder} first")
    if settings.interface and find_program("ptp4l") is None:
        raise ConfigError("ptp4l: no such program; install the package linuxptp")
    grandmaster = Grandmaster(folder / "ptp4l.conf", Path(settings.run_folder))
    supervisor = TimeSupervisor(settings, chronyd, grandmaster if settings.interface else None)
    end = None if arguments.seconds is None else time.monotonic() + arguments.seconds
    try:
        while end is None or time.monotonic() < end:
            supervisor.step(read_statement(status, chronyd.offset_us()), time.monotonic())
            time.sleep(_PERIOD_S)
    except KeyboardInterrupt:
        pass
    finally:
        grandmaster.stop()
    return 0


def make_settings(raw: dict[str, Any], arguments: argparse.Namespace) -> ServerSettings:
    """Return the settings from a configuration and the arguments. Raises `ConfigError`."""
    chrony = raw.get("chrony")
    if chrony is None:
        raise ConfigError(
            f"{arguments.config}: chrony: missing; the agent sends no samples to chronyd"
        )
    settings = ServerSettings(
        socket=str(chrony["port"]).partition(":")[2],
        bound_ms=int(chrony.get("bound_ms", 100)),
        drift_ppm=float(raw["receiver"].get("drift_ppm", 50)),
        clients=tuple(arguments.allow),
        certificate=arguments.nts_cert,
        key=arguments.nts_key,
        interface=arguments.ptp,
        hardware_timestamps=arguments.hardware,
        run_folder=arguments.run_folder,
    )
    settings.check()
    return settings


def files_of(settings: ServerSettings) -> dict[str, str]:
    """Return the files: name and text."""
    files = {"coldloop.conf": chrony_text(settings), "client.conf": client_text("HOST", settings)}
    if settings.interface:
        files["ptp4l.conf"] = ptp_text(settings)
    return files


def write_files(settings: ServerSettings, folder: Path) -> int:
    """Write the files, and print what to do with them."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files_of(settings).items():
            replace_file(folder / name, text.encode())
    except OSError as error:
        raise ConfigError(f"{folder}: {error.strerror}") from None
    print(f"{folder}/coldloop.conf: link it into /etc/chrony/conf.d, then restart chronyd")
    print(f"{folder}/client.conf: the line for the clients; replace HOST")
    if settings.interface:
        print(f"{folder}/ptp4l.conf: the supervisor starts ptp4l with it")
        if settings.hardware_timestamps:
            print(f"run: phc2sys -s CLOCK_REALTIME -c {settings.interface} -O 37")
    print("then: coldloop clock serve, with the same options and without --write")
    return 0


def read_statement(status: Path, offset_us: int) -> Statement:
    """Return the statement for the status of the agent; `offset_us`: error of the system clock."""
    try:
        snapshot = read_status(status)
        return make_statement(snapshot, age_s(snapshot), offset_us)
    except (ConfigError, KeyError, TypeError):
        return _NO_STATUS


class TimeSupervisor:
    """States the quality of the time, and withdraws it. Call `step` each second."""

    def __init__(
        self, settings: ServerSettings, chronyd: Chronyd, grandmaster: Grandmaster | None
    ) -> None:
        self._settings = settings
        self._chronyd = chronyd
        self._grandmaster = grandmaster
        self._hysteresis = Hysteresis()
        self._printed_statement: Statement | None = None
        self._ptp_statement: Statement | None = None
        self._last_withdrawal_s: float | None = None

    def step(self, new: Statement, now_s: float) -> None:
        """Apply a statement at a monotonic time."""
        statement = self._hysteresis.update(new, now_s)
        if statement != self._printed_statement:
            self._printed_statement = statement
            print(describe(statement), flush=True)
        if statement.may_serve:
            self._last_withdrawal_s = None
            self._serve_ptp(statement)
        else:
            self._withdraw(now_s)

    def _serve_ptp(self, statement: Statement) -> None:
        grandmaster = self._grandmaster
        if grandmaster is None:
            return
        if not grandmaster.running:
            self._ptp_statement = None
            grandmaster.start()
        command = grandmaster_command(statement, self._settings.hardware_timestamps)
        if statement != self._ptp_statement and grandmaster.send_settings(command):
            self._ptp_statement = statement

    def _withdraw(self, now_s: float) -> None:
        if self._grandmaster is not None and self._grandmaster.running:
            self._grandmaster.stop()
        last_s = self._last_withdrawal_s
        if last_s is not None and now_s - last_s < _WITHDRAW_AGAIN_S:
            return
        if last_s is None or self._chronyd.is_synchronized():
            self._chronyd.withdraw()
        self._last_withdrawal_s = now_s


def describe(statement: Statement) -> str:
    """Return a statement as one line."""
    if not statement.may_serve:
        return f"time service   withdrawn: {statement.reason}"
    traceable = "traceable" if statement.traceable else "not traceable"
    return (
        f"time service   class {statement.clock_class}, accuracy 0x{statement.accuracy:02X}, "
        f"{traceable}"
    )


def check(
    settings: ServerSettings,
    folder: Path,
    chronyd: Chronyd,
    status: Path,
    *,
    as_json: bool = False,
) -> int:
    """Print what is wrong with the set-up; return 0 if time is served."""
    problems = []
    for name, text in files_of(settings).items():
        path = folder / name
        if not path.is_file():
            problems.append(f"{path}: missing; run coldloop clock serve --write {folder}")
        elif path.read_text(encoding="utf-8") != text and name != "client.conf":
            problems.append(f"{path}: differs from the configuration; write it again")
    sources = chronyd.sources()
    if sources is None:
        problems.append("chronyd: no answer; check that it runs, and --chronyd")
    elif "#,*,BDS" not in sources:
        problems.append("chronyd: the agent is not its selected source (refclock BDS)")
    elif not chronyd.is_synchronized():
        problems.append("chronyd: not synchronized")
    statement = read_statement(status, 0)
    if not statement.may_serve:
        problems.append(f"agent: {statement.reason}")
    if as_json:
        fields = statement._asdict()
        served = fields.pop("may_serve")
        print(json.dumps({"served": served, **fields, "problems": problems}))
        return 1 if problems else 0
    for problem in problems:
        print(f"coldloop clock serve: {problem}", file=sys.stderr)
    print(describe(statement))
    return 1 if problems else 0
