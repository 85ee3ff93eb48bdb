# SPDX-License-Identifier: Apache-2.0
"""Constant data of the page: alarm texts in both languages, points, ranks, limits of actions.

Does not depend on the unit. The English texts of an alarm are those of the alarm catalogue,
alarms_zh.toml beside this file has them in Chinese.
"""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from agent.alarms.catalogue import catalogue, span_text
from agent.alarms.shelving import MAX_HOURS
from deploy.northbound.panel.actions import ACTIONS, MAX_MINUTES, MODES
from deploy.northbound.points.point_table import point_table

_TEXTS = ("means", "cause", "consequence", "do")


@cache
def chinese_texts() -> dict[str, dict[str, str]]:
    """Return the Chinese texts by code of the alarm."""
    file = Path(__file__).parent / "alarms_zh.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))


@cache
def catalogue_json() -> dict[str, Any]:
    """Return all constant data."""
    return {
        "alarms": {
            code: {
                **{name: getattr(entry, name) for name in _TEXTS},
                "respond": span_text(entry.respond_s),
                "respond_s": entry.respond_s,
                "reset": entry.reset,
                "zh": chinese_texts().get(code, {}),
            }
            for code, entry in catalogue().entries.items()
        },
        "points": {
            key: {
                "title": row.title,
                "kind": row.kind,
                "unit": row.unit,
                "group": row.group,
                "words": row.words,
            }
            for key, row in point_table().items()
        },
        "actions": {name: {"confirmed": action.confirmed} for name, action in ACTIONS.items()},
        "modes": MODES,
        "max_minutes": MAX_MINUTES,
        "max_shelve_hours": MAX_HOURS,
    }
