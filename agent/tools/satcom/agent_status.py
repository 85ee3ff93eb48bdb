# SPDX-License-Identifier: Apache-2.0
"""Last status of the agent on this controller, as the commands of `coldloop link` read it."""

import json
from pathlib import Path
from typing import Any

from agent.commands import read_config
from agent.core.errors import AgentError
from agent.telemetry.status import STATUS_FILE

DAMAGE = (ValueError, TypeError, LookupError)
"""What a value raises that a damaged status has in the place of another one."""


def status_path(config_path: str) -> Path:
    """Return the file of the status. Raises AgentError."""
    config = read_config(config_path)
    if config.status_store is None:
        raise AgentError(f"{config_path}: state: missing, so there is no status to read")
    return Path(config.status_store.path) / STATUS_FILE


def read_section(path: Path, config_path: str, name: str) -> dict[str, Any]:
    """Return a section of the status. Raises AgentError if there is none, or if it is damaged."""
    try:
        status = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise AgentError(f"{path}: no status; check that the agent runs") from None
    section = status.get(name) if isinstance(status, dict) else status
    if section is None:
        raise AgentError(f"{config_path}: no {name} in the status of the running agent")
    if not isinstance(section, dict):
        raise AgentError(f"{path}: the status is damaged")
    return section
