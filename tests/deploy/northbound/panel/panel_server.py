# SPDX-License-Identifier: Apache-2.0
"""The panel on a small server for the tests: chosen snapshots, fake accounts and a fake writer.

python -m tests.deploy.northbound.panel.panel_server [PORT]     to look at the page
"""

import asyncio
import dataclasses
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from microdot import Microdot

from agent.alarms.catalogue import catalogue
from deploy.northbound.access.types import (
    ADMINISTRATOR,
    OPERATOR,
    READ_ONLY,
    FakeAudit,
    FakeWriter,
    Refusal,
    Session,
)
from deploy.northbound.fake_source import FakeSource
from deploy.northbound.http.connections import ConnectionGate
from deploy.northbound.http.limits import HttpLimits
from deploy.northbound.http.service import make_refusal_record
from deploy.northbound.panel.routes import PanelRoutes
from deploy.northbound.panel.services import PanelServices
from deploy.northbound.panel.trends import TrendStore
from deploy.northbound.process.listener import listen
from deploy.northbound.snapshot import ActuatorItem, AlarmItem, Identity, PointValue, SetPoint

COMMANDS = ["acknowledge", "override", "proof", "release", "reset", "shelve", "unshelve"]
NOW = datetime(2026, 11, 28, 8, 30, tzinfo=UTC)
PASSWORD = "right-Password1"
RAW = {
    "supply_temperature": 32_140,
    "return_temperature": 41_900,
    "differential_pressure": 119_800,
    "secondary_flow": 148_000,
    "heat": 92_400,
    "dew_point": 18_200,
    "dew_margin": 13_900,
    "valve_position": 54_000,
    "valve_command": 54_500,
    "facility_supply_temperature": 24_300,
    "facility_return_temperature": 33_100,
    "facility_flow": 141_000,
    "pump1_speed": 71_500,
    "pump2_speed": 0,
    "pump1_running": 1,
    "pump2_running": 0,
    "reservoir_level": 83_000,
    "filter_pressure": 21_300,
    "it_power": 91_200,
    "headroom": 17_500,
    "power": 1_840,
    "supply_setpoint": 32_000,
    "pressure_setpoint": 120_000,
    "unit_state": 1,
    "alarm_count": 3,
}


class FakeLogins:
    """Accounts `reader`, `operator` and `admin`; `new` must change its password."""

    def __init__(self) -> None:
        self.roles = {"reader": READ_ONLY, "operator": OPERATOR, "admin": ADMINISTRATOR}
        self.roles["new"] = OPERATOR
        self.sessions: dict[str, Session] = {}
        self.locked_s = 0
        self.refusal: Refusal | None = None

    def login(self, user: str, password: str, address: str) -> Session | Refusal:
        if self.refusal is not None:
            return self.refusal
        if self.locked_s:
            return Refusal("locked", self.locked_s)
        if user not in self.roles or password != PASSWORD:
            return Refusal("login")
        number = str(len(self.sessions))
        token = f"{user}-{number}"
        session = Session(number, user, self.roles[user], address, token, user == "new")
        self.sessions[token] = session
        return session

    def find_session(self, token: str) -> Session | None:
        return self.sessions.get(token)

    def logout(self, session: Session) -> None:
        self.sessions.pop(session.token, None)

    def change_password(self, session: Session, password: str) -> Session | Refusal:
        if self.refusal is not None:
            return self.refusal
        if len(password) < 10:
            return Refusal("at least 10 characters")
        del self.sessions[session.token]
        changed = dataclasses.replace(session, token=session.token + "x", must_change=False)
        self.sessions[changed.token] = changed
        return changed


def make_alarm(code: str, state: str = "active_unacknowledged", **fields: Any) -> AlarmItem:
    """Make an alarm of the catalogue that was raised 4 min before `NOW`."""
    entry = catalogue().entries[code]
    values = {"name": "", "text": entry.means, "action": entry.do} | fields
    raised = NOW - timedelta(minutes=4)
    cleared = NOW if state == "cleared_unacknowledged" else None
    return AlarmItem(
        entry.number,
        code,
        values["name"],
        entry.priority,
        state,
        values["text"],
        values["action"],
        raised,
        cleared,
        shelved_ms=3_600_000 if state == "shelved" else 0,
        raised_ago_ms=240_000,
    )


ALARMS = (
    make_alarm("pump_trip", name="pump-b", text="drive of pump-b tripped, fault 2310"),
    make_alarm("filter_high", "active_acknowledged", text="filter at 41 kPa, limit 40 kPa"),
    make_alarm("device_lost", "cleared_unacknowledged", name="valve"),
    make_alarm("optics_warm", "shelved"),
)


def typical_source() -> FakeSource:
    """Make a source with values as on a unit at 90 % load."""
    source = FakeSource(1)
    points = {
        key: PointValue(key, RAW.get(key), "good" if key in RAW else "absent", 300)
        for key in source.snapshot.points
    }
    points["facility_return_temperature"] = PointValue(
        "facility_return_temperature", 33_100, "uncertain", 4200
    )
    points["filter_pressure"] = PointValue("filter_pressure", None, "bad", 900)
    low_high = {"supply_setpoint": (15_000, 45_000), "pressure_setpoint": (20_000, 200_000)}
    source.replace(
        utc=NOW,
        utc_bound_us=1850,
        unit_state="degraded",
        points=points,
        alarms=ALARMS,
        setpoints={
            key: SetPoint(key, RAW[key], low, high, key == "supply_setpoint")
            for key, (low, high) in low_high.items()
        },
        actuators=(
            ActuatorItem("valve", "supply_loop", 10, 54.5),
            ActuatorItem("pumps", "pressure_loop", 10, 71.5),
        ),
        identity=Identity(
            "riyadh-2", "row07-cdu1", "Example Cooling", "CDU-100", "P-1100", "CDU-0042-26"
        ),
        clock={"state": "sync", "bound_us": 1850, "source": "receiver"},
        link={"connected": True, "carrier": "ip", "budget_bytes": 400_000, "used_bytes": 12_345},
        details={
            "commands": COMMANDS,
            "cooling": {"mode": "auto", "lead": "pump-a", "setpoint_milli_c": 32_000},
        },
    )
    return source


def filled_trends() -> TrendStore:
    """Make 24 h of trends with a gap of an hour."""
    trends = TrendStore()
    start = NOW.timestamp() - 24 * 3600
    trends.add_snapshot(typical_source().snapshot)
    for minute in range(24 * 60):
        if not 300 <= minute < 360:
            wave = abs(minute % 240 - 120) / 120
            values: dict[str, float | None] = {
                "supply_temperature": 31.5 + wave,
                "return_temperature": 40 + 3 * wave,
                "supply_setpoint": 32.0,
                "differential_pressure": 118 + 4 * wave,
                "valve_position": 40 + 20 * wave,
                "pump1_speed": 70 + 3 * wave,
                "heat": 80_000 + 12_000 * wave,
                "secondary_flow": 145 + 5 * wave,
            }
            trends.add_logged(start + 60 * minute, values)
    return trends


class PanelServer:
    """The server in its own thread; `address` is the address of the page."""

    def __init__(self, port: int = 0, writable: bool = True) -> None:
        self.source = typical_source()
        self.logins, self.writer, self.audit = FakeLogins(), FakeWriter(), FakeAudit()
        self.services = PanelServices(
            self.source,
            self.audit,
            self.logins if writable else None,
            self.writer if writable else None,
            filled_trends(),
            open_stream=lambda request: self.streams and self.gate.open_stream(request, "panel"),
        )
        self.streams = True
        self._port = port
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(20)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        app: Any = Microdot()
        PanelRoutes(self.services).register(app)
        self._stop = asyncio.Event()
        listener = listen("http", "127.0.0.1", self._port)
        self.origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        limits = HttpLimits(address_rate=5000, address_burst=5000, total_rate=5000,
                            total_burst=5000, work_ms=1e6, other_work_ms=1e6,
    known_work_ms=1e6)  # fmt: skip
        self.gate = ConnectionGate(app, None, limits, refused=make_refusal_record(self.audit))
        serving = asyncio.create_task(self.gate.serve(listener))
        self.address = f"{self.origin}/panel"
        self._ready.set()
        await self._stop.wait()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        listener.close()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)


if __name__ == "__main__":
    running = PanelServer(int(sys.argv[1]) if len(sys.argv) > 1 else 8099)
    print(running.address)
    threading.Event().wait()
