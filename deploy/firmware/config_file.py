# SPDX-License-Identifier: Apache-2.0
"""Configuration file of a board, checked by the rules of the agent."""

import json
from pathlib import Path

from agent.commands import profiles
from agent.config.file import parse
from agent.config.load import load
from agent.core.errors import AgentError
from deploy.errors import FirmwareError


def read_config(path: Path) -> bytes:
    """Read and check a JSON configuration; return its bytes. Raises FirmwareError."""
    try:
        text = path.read_text(encoding="utf-8")
        load(parse(text, str(path)), profiles(str(path)))
    except OSError as error:
        raise FirmwareError(f"{path}: {error.strerror}") from None
    except AgentError as error:
        raise FirmwareError(str(error)) from None
    except UnicodeDecodeError as error:
        raise FirmwareError(f"{path}: {error}") from None
    return json.dumps(json.loads(text), separators=(",", ":")).encode()
