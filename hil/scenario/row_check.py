# SPDX-License-Identifier: Apache-2.0
"""Checks the keys of a row against each other: modem, sky, schedule, and the agent's configuration.

Does not check the range of one key; see `hil.bench.testbed_settings.LIMITS`. A row whose keys are
good one by one can still give a configuration that the agent refuses: the section `ledger` needs
two meters. So the configuration of each row is compiled, as at the start of a run.
"""

import functools
from collections.abc import Iterator

from agent.commands import profiles
from agent.config.load import load
from agent.core.errors import ConfigError
from hil.bench import receiver_choice
from hil.bench.testbed import BUS_BAUD, Testbed
from hil.bench.testbed_satcom import KINDS
from hil.bench.testbed_settings import TestbedSettings
from hil.devices.satcom.constellation import SKIES
from hil.errors import BenchError
from hil.kernel.world import World
from hil.scenario.suggestion import suggest_name

_UTC_US = 1_795_500_000_000_000
_WORDS = {"modem": KINDS, "sky": SKIES, "modem_power": ("always", "windows", "alarms")}


def find_row_problems(settings: TestbedSettings) -> Iterator[tuple[str, str]]:
    """Find the problems of texts in a row: key, text."""
    for key, words in _WORDS.items():
        value = getattr(settings, key)
        if value not in words:
            hint = suggest_name(value, words) or f"; there are {', '.join(words)}"
            yield key, f"unknown {value!r}{hint}"
    for entry in filter(str.strip, settings.schedule.split(";")):
        if not _is_action(entry.split()):
            yield "schedule", f"{entry.strip()!r} is not like '60 cap_pct 50': SECOND ACTION VALUE"


def _is_action(words: list[str]) -> bool:
    if len(words) != 3:
        return False
    try:
        return int(words[0]) >= 0 and isinstance(int(words[2]), int)
    except ValueError:
        return False


@functools.cache
def find_config_problem(settings: TestbedSettings) -> str:
    """Return why the agent refuses the configuration of a row that is good otherwise; else ""."""
    start_us = receiver_choice.parse_start_us(settings.start_utc) or _UTC_US
    try:
        config = Testbed(World(1, start_us, 0), settings).config(
            f"serial:/virtual/receiver?baud={receiver_choice.line_baud(settings)}",
            f"serial:/virtual/bus?baud={BUS_BAUD}&parity=E",
            "tcp:broker.virtual:1883",
            "store:/virtual/state",
        )
        load(config, profiles())
    except (ConfigError, BenchError) as error:
        return f"the agent refuses this row: {str(error).splitlines()[0]}"
    return ""
