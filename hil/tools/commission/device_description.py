# SPDX-License-Identifier: Apache-2.0
"""Step `describe` of `coldloop commission`: which profile each unit that answered has.

Does not scan and does not read values. A unit has the profile that a probe has proven, that the
command line names, or that is made of the register table. An argument that no unit uses is an
error. The rows that are named alarm, fault or status have a line.
"""

import argparse
import functools
import json
import re
from pathlib import Path
from typing import Any

from drivers.tools.lib.profile_folders import package_models
from hil.errors import BenchError
from hil.io.regular_file import write_whole
from hil.tools.commission.device_access import IDENTIFICATION, WRITABLE, Place, name_of
from hil.tools.commission.inputs.argument_values import (
    check_name,
    check_profile_name,
    parse_profiles,
)
from hil.tools.commission.inputs.dialogue import Dialogue
from hil.tools.commission.inputs.register_table import TableRow, parse_table
from hil.tools.commission.inputs.row_roles import (
    ROLES,
    describe_unclear,
    is_open,
    point_of,
)
from hil.tools.commission.inputs.row_states import MONITOR, describe_alarm, describe_not_understood
from hil.tools.commission.output_tests import NOT_UNDERSTOOD
from hil.tools.commission.table_profile import make_profile, read_text

DEFAULT_MODEL = "site_cdu"


def _is_point(row: TableRow) -> bool:
    try:
        return point_of(row) is not None
    except ValueError:
        return False


class DeviceDescription:
    """The profiles of a site, in the folder `profiles`.

    `answers`: the answers that replace an argument, by its name.
    """

    def __init__(self, arguments: argparse.Namespace, dialogue: Dialogue, profiles: Path) -> None:
        self.arguments, self.dialogue, self.profiles = arguments, dialogue, profiles
        self.answers: dict[str, Any] = {}
        self._not_understood: list[str] = []
        self._writable: list[Place] = []
        self._described = 0
        self.tables: dict[str, Path] = {}
        """Profile that was made from a table: its file."""

    def describe(self, scanned: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the devices: name, port, unit address, profile. `scanned`: the units."""
        devices: list[dict[str, Any]] = []
        given = parse_profiles(self.arguments.profile)
        unknown = [u["unit"] for u in scanned if not u["proven"] and u["unit"] not in given]
        absent = sorted(set(given) - {unit["unit"] for unit in scanned})
        if absent:
            raise BenchError(f"--profile: the unit {absent[0]} did not answer the scan")
        if self.dialogue.assume_yes and len(unknown) > 1:
            raise BenchError(
                f"the units {', '.join(map(str, unknown))} are unknown, and --table describes one: "
                "name it with --units, or answer the questions without --yes"
            )
        use_table = self.arguments.table is not None and not unknown and len(scanned) == 1
        for unit in scanned:
            where = f"{unit['port']} unit {unit['unit']}"
            known = unit["model"] if unit["proven"] and not use_table else "table"
            if use_table and unit["unit"] not in given:
                self.dialogue.say(f"  {where}: it is {unit['model']}; --table describes it")
            if (
                unit["unit"] in unknown
                and self.arguments.table is None
                and self.dialogue.assume_yes
            ):
                raise BenchError(
                    f"{where}: unknown model; describe it with --table FILE, or name its profile "
                    f"with --profile {unit['unit']}=NAME"
                )
            answer = given.get(unit["unit"], "") or self.dialogue.ask_valid(
                f"{where}: name of a profile, `table` to describe it, `-` to leave it out",
                known,
                check_profile_name,
            )
            if answer == "-":
                continue
            taken = [device["name"] for device in devices]
            self._not_understood, self._writable = [], []
            model = self._describe_table(where) if answer == "table" else answer
            name = self._device_name(where, model, taken)
            device = {"name": name, "port": unit["port"], "unit": unit["unit"], "profile": model}
            if name_of(unit.get(IDENTIFICATION, {})):
                device[IDENTIFICATION] = unit[IDENTIFICATION]
            self._described += answer == "table"
            if self._writable:
                device[WRITABLE] = self._writable
            if self._not_understood:
                device[NOT_UNDERSTOOD] = self._not_understood
            devices.append(device)
        if not devices:
            raise BenchError("no device is left; describe one")
        if not self._described:
            self._check_unused(scanned)
        return devices

    def _check_unused(self, scanned: list[dict[str, Any]]) -> None:
        """Raise BenchError for an argument of the table that no device uses."""
        is_model_given = self.arguments.model != DEFAULT_MODEL
        if self.arguments.table is None and not is_model_given:
            return
        name = "--model" if self.arguments.table is None else "--table"
        units = ", ".join(str(unit["unit"]) for unit in scanned)
        raise BenchError(
            f"{name}: no device uses it; name the unit with --profile UNIT=table (units: {units})"
        )

    def _device_name(self, where: str, model: str, taken: list[str]) -> str:
        stem = re.sub("[^a-z0-9_-]", "", model.rpartition("_")[2].casefold()) or "device"
        names = [stem, *(f"{stem}{number}" for number in range(2, 20))]
        proposal = next(name for name in names if name not in taken)

        def parse(name: str) -> str:
            if name in taken:
                raise BenchError(f"name {name!r}: in use")
            return check_name("name", name)

        return self.dialogue.ask_valid(f"{where}: name of the device", proposal, parse)

    def _describe_table(self, where: str) -> str:
        """Make a profile from a table; write it into the folder of the site; return its name."""

        def parse(model: str) -> str:
            if model in package_models():
                raise BenchError(
                    f"model {model!r} is a profile of the package; choose another name"
                )
            return check_name("model", model)

        question = f"{where}: name of the model"
        model = self.dialogue.ask_valid(question, self.arguments.model, parse)
        self.answers["model"] = model
        if self.arguments.table is not None:
            text, source = read_text(self.arguments.table), str(self.arguments.table)
        else:
            text = self.dialogue.read_lines(
                "paste the register table (address; name; type; scale; unit; access; bits), "
                "then a line with a point (.) alone, or Ctrl-D:"
            )
            source = "table"
        origin = f"register table, {source}"
        if self.arguments.operator:
            origin += f", entered by {self.arguments.operator}"
        choose = functools.partial(self._choose_role, source)
        raw = make_profile(text, source, model, origin, choose)
        try:
            self.profiles.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BenchError(f"{self.profiles}: {error.strerror}") from None
        path = self.profiles / f"{model}.json"
        write_whole(path, (json.dumps(raw, indent=1, ensure_ascii=False) + "\n").encode())
        self.tables[model] = path
        names = [point["name"] for point in raw["points"]]
        self.dialogue.say(f"  wrote {path}: {', '.join(names)}")
        rows = parse_table(text, source)
        self._writable = [(row.function or 3, row.address) for row in rows if row.is_written]
        self._say_alarms(rows, raw, source)
        return model

    def _say_alarms(self, rows: list[TableRow], raw: dict[str, Any], table: str) -> None:
        """Say what the rows that are named alarm, fault or status are taken for."""
        for row in rows:
            not_understood = describe_not_understood(row, is_point=_is_point(row))
            lines = [describe_alarm(row), not_understood]
            for line in filter(None, lines):
                self.dialogue.say(f"  {table}:{row.line}: {line}")
            self._not_understood += filter(None, lines[1:])
        if not any(group.get("alarm") for group in raw.get("flags", [])):
            self.dialogue.say("  no row is an alarm word: a test cannot see an alarm of the device")

    def _choose_role(self, table: str, row: TableRow) -> TableRow:
        """Ask for the role of a row that only resembles a point; without an answer: monitored."""
        where = f"{table}:{row.line}: {describe_unclear(row)}"
        if not is_open(row):
            self.dialogue.say(f"  {where}; it is only monitored")
            return row

        def parse(role: str) -> TableRow:
            chosen = row._replace(role=role)
            try:
                point_of(chosen)
            except ValueError as error:
                raise BenchError(str(error)) from None
            return chosen

        remedy = f"the column `role` of the table can name it: {', '.join(ROLES)}"
        self.dialogue.say(f"  {where}; it is only monitored; {remedy}")
        return self.dialogue.ask_valid(f"{row.name}: role", MONITOR, parse)
