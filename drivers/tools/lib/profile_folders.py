# SPDX-License-Identifier: Apache-2.0
"""Device profiles of the package and of the site, by name.

Does not check profiles; see `drivers.device.profile_check`. A profile is looked for in these
folders, in this order. The first one that has the name is used:

1. `--profiles DIR`, which sets the environment variable `COLDLOOP_PROFILES` (several: with `:`)
2. the folder `profiles` beside the configuration file
3. `/etc/coldloop/profiles`
4. the profiles of the package

The first three belong to the site: an upgrade of the package does not change them. So a profile of
the site is used also if a later package has one with the same name.
"""

import argparse
import json
import os
from importlib import resources
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SITE_FOLDER = "/etc/coldloop/profiles"
VARIABLE = "COLDLOOP_PROFILES"
_SCHEMA = "profile.schema.json"


class _UseFolder(argparse.Action):
    """Sets the environment variable, which processes that this one starts inherit."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: "Any",
        option_string: "str | None" = None,
    ) -> None:
        if not Path(values).is_dir():
            parser.error("--profiles: %s: no such folder" % values)
        use_folder(values)


def add_profiles_option(parser: argparse.ArgumentParser) -> None:
    """Add --profiles."""
    parser.add_argument(
        "--profiles",
        action=_UseFolder,
        metavar="DIR",
        help="folder with device profiles of the site, before %s" % SITE_FOLDER,
    )


def use_folder(folder: "str | Path") -> None:
    """Look for profiles in `folder` first, in this process and in those that it starts."""
    path = str(Path(folder).resolve())
    others = [part for part in os.environ.get(VARIABLE, "").split(":") if part and part != path]
    os.environ[VARIABLE] = ":".join([path, *others])


def site_folders(config: "str | Path | None" = None) -> "list[Path]":
    """Return the folders of the site, the first has priority. `config`: a configuration file."""
    folders = [Path(part) for part in os.environ.get(VARIABLE, "").split(":") if part]
    if config is not None:
        folders.append(Path(config).absolute().parent / "profiles")
    folders.append(Path(SITE_FOLDER))
    return folders


def profile_files(config: "str | Path | None" = None) -> "dict[str, Any]":
    """Return the path of each profile by its name."""
    found: dict[str, Any] = {}
    package = resources.files("drivers") / "profiles"
    for folder in (package, *reversed(site_folders(config))):
        try:
            entries = list(folder.iterdir())
        except OSError:
            continue  # absent, or not readable: most sites have no profiles of their own
        for entry in entries:
            if entry.name.endswith(".json") and entry.name != _SCHEMA:
                found[entry.name[: -len(".json")]] = entry
    return found


def package_models() -> "set[str]":
    """Return the names of the profiles of the package."""
    names = [entry.name for entry in (resources.files("drivers") / "profiles").iterdir()]
    return {name[: -len(".json")] for name in names if name.endswith(".json") and name != _SCHEMA}


def read_profiles(config: "str | Path | None" = None) -> "dict[str, Any]":
    """Return the parsed profiles by name. The value of an unreadable file is the error, a text.

    An unreadable file of the site thus stops only a unit that uses it.
    """
    return {name: _parse(path) for name, path in profile_files(config).items()}


def parse_profile(text: str) -> "Any":
    """Parse the JSON of a profile. Raises `ValueError`, also for a key that is written twice."""
    return json.loads(text, object_pairs_hook=_unique)


def _unique(pairs: "list[tuple[str, Any]]") -> "dict[str, Any]":
    """Return an object. JSON would keep the last of two equal keys, without a word."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError("the key %s is written twice in one object" % key)
        found[key] = value
    return found


def _parse(path: "Any") -> "Any":
    if path.exists() and not path.is_file():  # a FIFO can wait for ever, a device has no end
        return "%s: not a regular file" % path
    try:
        return parse_profile(path.read_text(encoding="utf-8"))
    except OSError as error:
        return "%s: %s" % (path, error.strerror)
    except (ValueError, RecursionError) as error:
        return "%s: not JSON: %s" % (path, error)
