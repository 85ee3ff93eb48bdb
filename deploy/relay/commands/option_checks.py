# SPDX-License-Identifier: Apache-2.0
"""Options of a relay that contradict each other, or have no effect without another one.

Does not parse options, and reads no file; see `command`. An option without effect is an error: with
`--http-key` alone, for example, the server would have no TLS, and no line would say so.
"""

import argparse
from pathlib import Path

from deploy.errors import DeployError
from deploy.relay.outputs.registry import HTTP_OUTPUTS, OUTPUTS

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
    for option, scheme in (("token", "http"), ("client_cert", "https:"), ("client_key", "https:")):
        for text in getattr(arguments, option):
            _check_server(arguments, f"{_option(option)} {text}", text.partition("=")[0], scheme)
    certificates = {text.partition("=")[0] for text in arguments.client_cert}
    for text in arguments.client_key:
        name = text.partition("=")[0]
        if name not in certificates:
            raise DeployError(f"--client-key {text}: needs --client-cert {name}=FILE")
    urls = [getattr(arguments, name) or "" for name in HTTP_OUTPUTS]
    if arguments.output_ca and not any(url.startswith("https:") for url in urls):
        raise DeployError("--output-ca: there is no output of https")


def _check_server(arguments: argparse.Namespace, option: str, name: str, scheme: str) -> None:
    """Raise DeployError if an output has no server with this scheme."""
    names = [spec.name for spec in OUTPUTS if spec.metavar]
    if name not in names or getattr(arguments, name) is None:
        raise DeployError(f"{option}: there is no --{name}")
    if name not in HTTP_OUTPUTS:
        raise DeployError(f"{option}: this is for {', '.join(HTTP_OUTPUTS)}")
    if not getattr(arguments, name).startswith(scheme):
        raise DeployError(f"{option}: --{name} is not {scheme.rstrip(':')}")


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
