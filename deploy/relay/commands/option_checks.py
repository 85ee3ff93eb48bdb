# SPDX-License-Identifier: Apache-2.0
"""Options of a relay that contradict each other, or have no effect without another one.

Does not parse options, and reads no file; see `command`. An option without effect is an error: with
`--http-key` alone, for example, the server would have no TLS, and no line would say so.
"""

import argparse
from pathlib import Path

from deploy.errors import DeployError
from deploy.relay.outputs.registry import OUTPUTS

_MEMORY = ":memory:"
"""SQLite takes this name for a store in memory: what is receipted would end with the process."""
_NEEDS = (
    ("key", "cert"),
    ("http_key", "http_cert"),
    *[(name, "http") for name in ("http_cert", "http_token", "sbd_key", "sbd_token")],
    ("sbd_unsigned", "http"),
    ("gateway_login", "gateway"),
    ("password_file", "username"),
    ("primary", "sparkplug"),
    ("shelved", "alarms"),
)
_DATABASES = ("store", "fleet")


def check_effects(arguments: argparse.Namespace) -> None:
    """Raise DeployError for an option without the one that it needs."""
    for name, needed in _NEEDS:
        if getattr(arguments, name) and not getattr(arguments, needed):
            raise DeployError(f"{_option(name)} needs {_option(needed)}")
    if bool(arguments.output_cert) != bool(arguments.output_key):
        raise DeployError("--output-cert and --output-key need each other")
    names = [spec.name for spec in OUTPUTS if spec.metavar]
    for text in arguments.token:
        name = text.partition("=")[0]
        if name not in names or getattr(arguments, name) is None:
            raise DeployError(f"--token {text}: there is no --{name}")


def check_files(store: str, outputs: dict[str, str]) -> None:
    """Raise DeployError for a store in memory, or for a file with two uses."""
    used: dict[Path, str] = {}
    for name, text in (("store", store), *outputs.items()):
        if name in _DATABASES and str(Path(text)) == _MEMORY:
            raise DeployError(f"--{name} {text}: not a file")
        if name not in (*_DATABASES, "lines"):
            continue
        for path in (Path(text), Path(f"{text}.1")) if name == "lines" else (Path(text),):
            place = path.resolve()
            if place in used:
                raise DeployError(f"--{name} {text}: {used[place]} has this file")
            used[place] = f"--{name}"


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
