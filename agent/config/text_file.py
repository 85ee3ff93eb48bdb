# SPDX-License-Identifier: Apache-2.0
"""Read a configuration file on CPython: JSON, or TOML by its name.

Does not check it; see `agent.config.load`. A module of its own: the servers of the site read the
file too, and have little memory.
"""

import tomllib
from pathlib import Path
from typing import Any

from agent.config import file
from agent.core.errors import ConfigError


def read_file(path: str) -> Any:
    """Read and parse a configuration. Raises `ConfigError`; each line names the file."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; name the agent's configuration") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text") from None
    if not path.endswith(".toml"):
        return file.parse(text, path)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
