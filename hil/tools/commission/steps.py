# SPDX-License-Identifier: Apache-2.0
"""The steps of `coldloop commission`: from a port to a checked configuration.

Does not run the acceptance (`hil.tools.commission.acceptance`). Each step reads the results of the
steps before it from the journal and returns its own. A step raises BenchError with one line that
says what to do.
"""

import argparse
import functools
import json
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from drivers.device.profile import DeviceProfile
from drivers.errors import DriverError
from drivers.ports.address import parse_address
from drivers.tools.lib.arguments import describe_port, raw_profile
from drivers.tools.lib.modbus_client import port_address
from drivers.tools.lib.profile_folders import use_folder
from drivers.tools.lib.scan_records import FoundUnit
from drivers.tools.modbus_scan import scan_port
from hil.errors import BenchError
from hil.io.regular_file import write_whole
from hil.record.provenance import NO_IDENTIFICATION
from hil.run.unit.unit_file import load_unit
from hil.tools.commission.device_access import (
    IDENTIFICATION,
    TIMEOUT_MS,
    DeviceAccess,
    LiveValue,
    check_name_of,
    name_of,
    writable_places,
)
from hil.tools.commission.device_description import DeviceDescription
from hil.tools.commission.findings import (
    ALIKE,
    EARLIER,
    SHOWN,
    control_problems,
    describe_failed_values,
    unproven_scale,
)
from hil.tools.commission.inputs.argument_values import (
    NO_GAUGE,
    check_range,
    parse_answer,
    parse_gauges,
    parse_number,
    parse_ports,
    read_gauge,
)
from hil.tools.commission.inputs.block_size import KEY, find_max_block
from hil.tools.commission.inputs.dialogue import Dialogue
from hil.tools.commission.inputs.look_alikes import find_look_alikes
from hil.tools.commission.inputs.row_roles import DISPLAYED, GAUGED
from hil.tools.commission.output_tests import OutputTests, highest_value
from hil.tools.commission.outputs.journal import Journal
from hil.tools.commission.outputs.output_guard import OutputGuard
from hil.tools.commission.outputs.tested_values import check_tested_outputs
from hil.tools.commission.outputs.write_test import DONE
from hil.tools.commission.tuning.loop_tuning import LoopStepTests
from hil.tools.commission.unit_draft import (
    SETPOINT_C,
    SETPOINT_KPA,
    DraftDevice,
    Settings,
    check_one_cdu,
    describe_control,
    draft_unit,
)

_DEVICE_FAILURE = "exception 4 "
_ANY_UNIT_COUNT = 20  # units on one TCP port, above which it seems to ignore the unit address
_SAMPLES, _TOLERANCE = 5, 0.05
_LEAST_TOLERANCE = {"Cel": 1.0, "kPa": 5.0, "L/min": 10.0, "%": 2.0}


class Commissioning:
    """The steps of one site.

    `folder`: the folder of the site. `answers`: the answers that replace an argument, by its name.
    """

    def __init__(
        self,
        arguments: argparse.Namespace,
        journal: Journal,
        dialogue: Dialogue,
        lock_port: Callable[[str], None],
    ) -> None:
        self.arguments = arguments
        self.lock_port = lock_port
        self.journal = journal
        self.dialogue = dialogue
        self.folder: Path = arguments.dir
        self.profiles = self.folder / "profiles"
        self.unit_file: Path = self.folder / "unit.json"
        self.answers: dict[str, Any] = {}
        self.guard = OutputGuard(journal.pending, dialogue.say, self.open_device)
        use_folder(self.profiles)

    # 1. Ports and units.

    def ports(self) -> list[str]:
        """Return the ports with field devices."""
        given: list[str] = self.arguments.ports
        if given:
            return [str(port_address(text)) for text in given]
        found = sorted(
            str(path)
            for pattern in ("serial/by-id/*", "ttyUSB*", "ttyACM*", "ttyAMA*", "ttyS[0-3]")
            for path in Path("/dev").glob(pattern)
        )
        self.dialogue.say(f"serial ports here: {', '.join(found) or 'none'}")
        if not found and self.dialogue.assume_yes:
            raise BenchError("no port is given and no serial port is here; name a port")
        texts = self.dialogue.ask_valid(
            "ports with field devices, such as /dev/ttyUSB0?baud=19200&parity=E or tcp:HOST:502",
            found[0] if found else "",
            parse_ports,
        )
        self.answers["ports"] = texts
        return [str(port_address(text)) for text in texts]

    def scan(self) -> list[dict[str, Any]]:
        """Return the units that answered."""
        units = []
        for text in self.journal.get("ports"):
            attempts = scan_port(self.arguments, parse_address(text), True)
            found = [unit for attempt in attempts for unit in attempt.found_units]
            found = self._without_absent(text, found)
            for unit in found:
                record = unit.record()
                record["proven"] = bool(record["model"]) and unit.is_proven(record["model"])
                units.append(record)
                line = f"{describe_port(unit.address)} unit {unit.unit}: {unit.describe()}"
                self.dialogue.say(f"  {line}")
        if not units:
            raise BenchError(
                "no device answered; `coldloop modbus scan` shows the likely cause. "
                "A slow device needs a longer --timeout-ms"
            )
        return units

    def _without_absent(self, port: str, found: list[FoundUnit]) -> list[FoundUnit]:
        """Leave out the units for which only a gateway answers: it reports a device failure."""
        absent = [unit for unit in found if unit.reply_text.startswith(_DEVICE_FAILURE)]
        if absent and len(absent) < len(found):
            units = ", ".join(str(unit.unit) for unit in absent)
            self.dialogue.say(f"  {port}: device failure of the units {units}; left out")
            found = [unit for unit in found if unit not in absent]
        if len(found) > _ANY_UNIT_COUNT and port.startswith("tcp:"):
            self.dialogue.say(f"  {port}: answers for each unit address; {found[0].unit} is used")
            found = found[:1]
        return found

    # 2. Profiles.

    def describe(self) -> list[dict[str, Any]]:
        """Return the devices: name, port, unit address, profile."""
        work = DeviceDescription(self.arguments, self.dialogue, self.profiles)
        devices = work.describe(self.journal.get("scan"))
        self.answers.update(work.answers)
        for device in devices:
            if device["profile"] in work.tables:
                with suppress(DriverError):  # the next step shows why
                    self._fit_blocks(device, work.tables[device["profile"]])
        return devices

    def _fit_blocks(self, device: dict[str, Any], path: Path) -> None:
        """Limit the blocks of a profile from a table to what the device takes in one request."""
        raw = raw_profile(device["profile"])
        with self.open_device(device) as access:
            size = find_max_block(access, raw)
        if size is not None:
            content = {**raw, KEY: size}
            write_whole(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
            self.dialogue.say(f"  {device['name']} gives {size} registers in a reply: {path}")

    # 3. Values and the write test.

    def values(self) -> dict[str, Any]:
        """Return the live values of all devices, and the comparison with gauges."""
        gauges = parse_gauges(self.arguments.gauge)
        self._check_gauges(gauges)
        earlier = getattr(self.arguments, "earlier", [])
        result: dict[str, Any] = {"devices": [], "gauges": [], EARLIER: earlier}
        for device in self.journal.get("describe"):
            samples = []
            with self.open_device(device) as access:
                for _ in range(_SAMPLES):
                    access.poll()
                    samples.append({v.name: [v.value, v.quality] for v in access.values()})
                    time.sleep(0.2)
                values, bits, errors = access.values(), access.bits(), access.errors
                identity = access.identity
            alike = functools.partial(find_look_alikes, access, writable=writable_places(device))
            name = name_of(device.get(IDENTIFICATION, {}))
            if name and identity == NO_IDENTIFICATION:
                identity = f"names itself {name}"
            self.dialogue.say(f"{device['name']}: {identity}")
            for value in values:
                shown = f"{value.value:10.2f} {value.unit}" if value.quality == "good" else "   -"
                self.dialogue.say(f"  {value.name:<36}{shown}  {value.quality}")
            on = [name for name, is_on in bits.items() if is_on]
            self.dialogue.say(f"  bits that are on: {', '.join(on) or 'none'}")
            for error in errors:
                self.dialogue.say(f"  {error}")
            if any("no reply" in error or "timeout" in error for error in errors):
                self.dialogue.say("  a slow device needs a longer --timeout-ms")
            result["devices"].append(
                {
                    "name": device["name"],
                    "identity": identity,
                    "bits": on,
                    "errors": errors,
                    "samples": samples,
                }
            )
            for value in values:
                if value.name in (*GAUGED, *DISPLAYED) and value.quality == "good":
                    self._compare(device["name"], value, gauges, result["gauges"], alike)
        return result

    def _check_gauges(self, gauges: dict[str, str]) -> None:
        """Raise BenchError for a gauge of a point that no device has, or several."""
        owners: dict[str, list[str]] = {}
        for device in self.journal.get("describe"):
            for point in DeviceProfile(raw_profile(device["profile"])).points:
                name = f"{device['name']}.{point.name}"
                owners.setdefault(point.name, []).append(name)
                owners[name] = [name]
        unknown = sorted(set(gauges) - set(owners))
        if unknown:
            raise BenchError(f"--gauge: no device has {', '.join(unknown)}; correct its name")
        for name in gauges:
            if len(owners[name]) > 1:
                raise BenchError(f"--gauge: {name} is one of {', '.join(owners[name])}; name which")

    def _compare(
        self,
        device: str,
        value: LiveValue,
        gauges: dict[str, str],
        found: list[dict[str, Any]],
        alike: Callable[[str, float, float], list[str]],
    ) -> None:
        """Compare a value with its gauge. "none": there is no gauge; "-": not answered."""
        name = f"{device}.{value.name}"
        entry = {"point": name, "read": value.value, "unit": value.unit, "gauge": None}
        text = gauges.get(name, gauges.get(value.name, ""))
        if not text:
            shown = "the display" if value.name in DISPLAYED else "your gauge"
            question = (
                f"{name} is {value.value:.1f} {value.unit}; {shown} shows ({NO_GAUGE}: no gauge)"
            )
            text = self.dialogue.ask_valid(
                question, "-", lambda answer: parse_answer(answer, value.unit)
            )
        if text in ("-", NO_GAUGE):
            found.append({**entry, "gauge": NO_GAUGE if text == NO_GAUGE else None})
            return
        gauge = read_gauge(text)
        tolerance = max(_LEAST_TOLERANCE[value.unit], abs(gauge) * _TOLERANCE)
        same = alike(value.name, gauge, tolerance)
        found.append({**entry, "gauge": gauge, "tolerance": tolerance, ALIKE: same})
        if abs(gauge - value.value) > tolerance:
            self.dialogue.say(f"  differs by {abs(gauge - value.value):.2f} {value.unit}")

    def write_test(self) -> list[dict[str, Any]]:
        """Return the result of the test of each output."""
        if self.arguments.mode == "monitor":
            return []  # the agent will write nothing
        tests = OutputTests(
            self.arguments,
            self.dialogue,
            self.open_device,
            self.guard,
            self._refuse_writes,
            lambda name, high: unproven_scale(name, high, self.journal.get("values")),
        )
        return tests.run(self.journal.get("describe"))

    def tune(self) -> list[dict[str, Any]]:
        """Return the result of the step test of each loop; its gains are in unit.json."""
        tuning = LoopStepTests(
            self.arguments, self.dialogue, self.open_device, self.guard, self._refuse_tuning
        )
        if self.arguments.mode == "monitor":
            return []
        self.check_outputs()
        return tuning.run(self.unit_file, self.journal.get("describe"))

    def check_outputs(self) -> None:
        """Compare the outputs with what the write test has left.

        Raises BenchError if one has its tested value again: the write test has failed.
        """
        step, found = "write-test", self.journal.get("describe")
        writes: list[dict[str, Any]] = self.journal.get(step)
        problems = check_tested_outputs(
            writes, found, self.open_device, self.guard, self.dialogue.say
        )
        if problems:
            kept = self.journal.arguments(step), self.journal.basis(step)
            self.journal.put(step, writes, *kept)
            self._stop_control()
            raise BenchError("\n".join([*problems, f"the next call repeats the step `{step}`"]))

    def _stop_control(self) -> None:
        """Leave only the sensors in `unit.json`, after a failure that came later than `propose`."""
        try:
            raw = json.loads(self.unit_file.read_bytes())
            control = {loop: {"sensor": raw["control"][loop]["sensor"]} for loop in raw["control"]}
            self._copy_unit_file()
        except (OSError, ValueError, KeyError, TypeError):
            return  # no configuration that an agent can use
        text = json.dumps({**raw, "control": control}, indent=2, ensure_ascii=False) + "\n"
        write_whole(self.unit_file, text.encode())
        self.dialogue.say(f"  {self.unit_file} controls nothing now")

    def _refuse_writes(self, device: str) -> str:
        return describe_failed_values(device, self.journal.get("values"))

    def _refuse_tuning(self, device: str) -> str:
        """As `_refuse_writes`; also if the scale of an output is not proven, also by its test."""
        values, writes = self.journal.get("values"), self.journal.get("write-test")
        shown = [write["point"] for write in writes if SHOWN in write and write["state"] == DONE]
        found = next(entry for entry in self.journal.get("describe") if entry["name"] == device)
        with self.open_device(found) as access:
            highest = {f"{device}.{p}": highest_value(access, p) for p in access.outputs()}
        unproven = [
            unproven_scale(*output, values) for output in highest.items() if output[0] not in shown
        ]
        return self._refuse_writes(device) or next(filter(None, unproven), "")

    def open_device(
        self, device: dict[str, Any], beside: DeviceAccess | None = None
    ) -> DeviceAccess:
        """Lock the port of a device and open it. Raises BenchError and DriverError.

        BenchError also for another device at this address.
        """
        self.lock_port(device["port"])
        timeout_ms = max(TIMEOUT_MS, self.arguments.timeout_ms)
        raw = raw_profile(device["profile"])
        access = DeviceAccess(device["port"], device["unit"], raw, timeout_ms, beside)
        with ExitStack() as opened:
            opened.enter_context(access)
            check_name_of(access, device)
            opened.pop_all()
        return access

    # 4. The configuration.

    def propose(self) -> dict[str, Any]:
        """Write unit.json; return its control section.

        After failed values or a failed write test it controls nothing, wherever it is copied.
        """
        found = self.journal.get("describe")
        devices = [DraftDevice(*(device[key] for key in DraftDevice._fields)) for device in found]
        profiles = {d.profile: DeviceProfile(raw_profile(d.profile)) for d in devices}
        settings = Settings(
            self.arguments.site,
            self.arguments.name,
            self._setpoint("supply temperature set-point, °C", "setpoint_c", SETPOINT_C),
            self._setpoint("differential pressure set-point, kPa", "setpoint_kpa", SETPOINT_KPA),
            self.arguments.mode,
        )
        if settings.mode != "monitor":
            check_one_cdu(devices, profiles)
        problems = control_problems(self.journal.get("values"), self.journal.get("write-test"))
        if problems and settings.mode != "monitor":
            self.dialogue.say(f"  the configuration controls nothing: {problems[0]}")
            settings = settings._replace(mode="monitor")
        raw = draft_unit(devices, profiles, settings)
        text = json.dumps(raw, indent=2, ensure_ascii=False) + "\n"
        self._keep_old_unit_file(text)
        write_whole(self.unit_file, text.encode())
        self.dialogue.say(f"  wrote {self.unit_file}")
        for line in describe_control(raw["control"]):
            self.dialogue.say(f"  {line}")
        control: dict[str, Any] = raw["control"]
        return control

    def _keep_old_unit_file(self, text: str) -> None:
        """Ask before a unit.json is replaced, and keep it as unit.json.old1, .old2 and so on."""
        if not self.unit_file.exists():
            return
        try:
            if self.unit_file.read_bytes() == text.encode():
                return
            kept = self._next_old_file()
            if not self.dialogue.confirm(f"{self.unit_file} exists; replace it ({kept.name})?"):
                raise BenchError(f"{self.unit_file}: exists and is kept; use another --dir")
            self._copy_unit_file()
        except OSError as error:
            raise BenchError(f"{self.unit_file}: {error.strerror}") from None

    def _next_old_file(self) -> Path:
        number = 1
        while (self.folder / f"unit.json.old{number}").exists():
            number += 1
        return self.folder / f"unit.json.old{number}"

    def _copy_unit_file(self) -> None:
        """Keep the present unit.json under the next name. Raises OSError."""
        kept = self._next_old_file()
        shutil.copy2(self.unit_file, kept)
        self.dialogue.say(f"  the earlier {self.unit_file.name} is now {kept}")

    def _setpoint(self, text: str, name: str, limits: tuple[int, int]) -> float:
        proposal: float = getattr(self.arguments, name)
        if self.arguments.mode == "monitor":
            return proposal

        def parse(answer: str) -> float:
            return check_range(text, parse_number(text, answer), limits)

        self.answers[name] = self.dialogue.ask_valid(text, f"{proposal:g}", parse)
        return float(self.answers[name])

    def check(self) -> dict[str, Any]:
        """Check the configuration as the agent does."""
        try:
            unit = load_unit(self.unit_file)
        except BenchError as error:
            raise BenchError(f"{error}\nrepeat the step with `--from propose`") from None
        self.dialogue.say(f"  {self.unit_file}: good, {len(unit.compiled)} devices")
        return {"devices": list(unit.compiled)}

    def steps(self) -> dict[str, Callable[[], Any]]:
        """Return the functions of the steps."""
        return {
            "ports": self.ports,
            "scan": self.scan,
            "describe": self.describe,
            "values": self.values,
            "write-test": self.write_test,
            "propose": self.propose,
            "check": self.check,
            "tune": self.tune,
        }
