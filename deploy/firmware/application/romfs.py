# SPDX-License-Identifier: Apache-2.0
"""Application as a ROMFS: precompiled portable modules, profiles, a configuration.

The portable modules are those of pyproject.toml without tests. The same files give the same bytes:
names are sorted, and no file has a time.
"""

import ast
import contextlib
import fnmatch
import functools
import hashlib
import json
import os
import shutil
import subprocess
import time
import tomllib
from pathlib import Path

from mpremote.romfs import VfsRomWriter

from deploy.errors import FirmwareError
from deploy.firmware.application.board_source import (
    ROOT,
    board_source,
    sources_on_boards,
    without_type_blocks,
)
from deploy.firmware.application.profile_trim import trim_profile
from deploy.firmware.application.short_names import ShortNames
from deploy.firmware.build_tools import CACHE, find_mpy_cross
from drivers.tools.lib.profile_folders import profile_files

_PACKAGES = ("agent", "drivers", "protocols")
_KEPT_S = 86_400
_LOADING = (
    "agent/*/schema.py",
    "agent/config/*.py",
    "agent/core/component/registry.py",
    "agent/power/build.py",
    "drivers/device/profile*.py",
)
"""Modules that run only while a configuration or a profile is loaded: their line numbers cost
space, and a message about either has its path instead.
"""
_ARITHMETIC = (
    "agent/control/law/deterministic_math.py",
    "agent/control/law/exchanger.py",
    "agent/control/law/feedforward.py",
    "agent/control/law/plausibility.py",
    "agent/control/law/row/*.py",
    "protocols/calendar.py",
    "protocols/orbit/look_angle.py",
    "protocols/orbit/sgp4.py",
    "protocols/orbit/walker.py",
    "protocols/rounding.py",
    "protocols/signing/ed25519*.py",
    "protocols/signing/sha512.py",
)
"""Arithmetic without input or output: its function and the line of its caller are enough."""
_SKIPPED = "profile.schema.json"


def portable_modules(root: Path = ROOT, left_out: tuple[str, ...] = ()) -> list[str]:
    """Return the portable modules of the three lower layers, as paths from the root.

    `left_out`: beginnings of paths of modules that a board does not get.
    """
    with open(root / "pyproject.toml", "rb") as file:
        patterns = tomllib.load(file)["tool"]["coldloop"]["portable"]
    names = []
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            is_included = False
            for pattern in patterns:
                if fnmatch.fnmatchcase(name, pattern.lstrip("!")):
                    is_included = not pattern.startswith("!")
            if is_included and not name.startswith(left_out):
                names.append(name)
    return names


def build_application(
    config: bytes | None = None,
    extra: dict[str, bytes] | None = None,
    left_out: tuple[str, ...] = (),
) -> bytes:
    """Build the ROMFS; `config` becomes unit.json; `extra` adds or replaces files by path.

    `left_out`: see `portable_modules`.
    """
    files: dict[str, bytes] = {}
    cache = CACHE / "mpy"
    for name in portable_modules(left_out=left_out):
        if not is_empty(name):
            files[name[:-3] + ".mpy"] = compile_module(name, cache)
    for path in package_profiles():
        files[path.relative_to(ROOT).as_posix()] = trim_profile(path)
    for name, path in _site_profiles(config):
        files[f"drivers/profiles/{name}.json"] = trim_profile(path)
    files["drivers/profiles/checked"] = b""  # checked here, so the board does not check again
    if config is not None:
        files["unit.json"] = config
    return pack_romfs(files | (extra or {}))


def package_profiles() -> list[Path]:
    """Return the files of the profiles that each application has."""
    paths = sorted((ROOT / "drivers" / "profiles").glob("*.json"))
    return [path for path in paths if path.name != _SKIPPED]


def _site_profiles(config: bytes | None) -> list[tuple[str, Path]]:
    """Return name and file of the profiles of the site that a configuration uses."""
    if config is None:
        return []
    used = {device["profile"] for device in json.loads(config).get("devices", [])}
    package = ROOT / "drivers" / "profiles"
    files = profile_files()
    return [(n, Path(files[n])) for n in sorted(used & set(files)) if files[n].parent != package]


def is_empty(name: str) -> bool:
    """Return whether a module has only a docstring: MicroPython imports a folder without it."""
    return name.endswith("__init__.py") and len(ast.parse((ROOT / name).read_bytes()).body) <= 1


def module_name(name: str) -> str:
    """Return the module name of a path from the root: `a/b/__init__.py` is `a.b`.

    mpy-cross gets it as the name of the source. MicroPython keeps a name for the import anyway, so
    a board has one name of each module instead of two.
    """
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def compile_module(name: str, cache: Path) -> bytes:
    """Compile a module with mpy-cross, or return the cached result. Raises FirmwareError.

    Its source on a board takes long to make, because constants and short names depend on all
    modules. So the cache also keeps the name of the result by the digest of all sources.
    """
    module, raw = module_name(name), (ROOT / name).read_bytes()
    known = cache / "known" / _sources_digest() / hashlib.sha256(name.encode() + raw).hexdigest()
    with contextlib.suppress(FileNotFoundError):
        return (cache / known.read_text(encoding="ascii")).read_bytes()
    source = _short_names().shorten(module, board_source(raw, module))
    has_no_lines = any(fnmatch.fnmatchcase(name, pattern) for pattern in (*_LOADING, *_ARITHMETIC))
    options = ("-O3",) if has_no_lines else ()
    compiled = compile_source(module, source, cache, options)
    _make_folder(known.parent)
    temporary = known.with_suffix(f".{os.getpid()}")
    temporary.write_text(_result_name(module, source, options), encoding="ascii")
    temporary.rename(known)
    return compiled


@functools.cache
def _sources_digest() -> str:
    """Return the digest of all sources on boards and of the code that changes them."""
    digest = hashlib.sha256()
    for path in (*sources_on_boards(), *sorted(Path(__file__).parent.glob("*.py"))):
        data = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT)} {len(data)} ".encode() + data)
    return digest.hexdigest()[:32]


def _make_folder(folder: Path) -> None:
    """Make a folder of one state of the sources; delete those of states of a day ago."""
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for other in folder.parent.iterdir():
            if other.stat().st_mtime < time.time() - _KEPT_S:
                shutil.rmtree(other, ignore_errors=True)


@functools.cache
def _short_names() -> ShortNames:
    """Return the short names of all modules that MicroPython runs."""
    paths = [path.relative_to(ROOT).as_posix() for path in sources_on_boards()]
    return ShortNames(
        {module_name(path): without_type_blocks((ROOT / path).read_bytes()) for path in paths}
    )


def compile_source(module: str, source: bytes, cache: Path, options: tuple[str, ...] = ()) -> bytes:
    """Compile the source of a module with options of mpy-cross, or return the cached result.

    Raises FirmwareError.
    """
    target = cache / _result_name(module, source, options)
    if not target.exists():
        cache.mkdir(parents=True, exist_ok=True)
        temporary = target.with_suffix(f".{os.getpid()}")
        stripped = target.with_suffix(f".{os.getpid()}.py")
        stripped.write_bytes(source)
        command = [find_mpy_cross(), *options, "-s", module, "-o", str(temporary), str(stripped)]
        completed = subprocess.run(command, capture_output=True, text=True, check=False)
        stripped.unlink()
        if completed.returncode:
            raise FirmwareError(f"{module}: mpy-cross: {completed.stderr.strip()}")
        temporary.rename(target)
    return target.read_bytes()


def _result_name(module: str, source: bytes, options: tuple[str, ...]) -> str:
    start = " ".join((module, *options)).encode()
    return hashlib.sha256(start + b"\0" + source).hexdigest() + ".mpy"


def pack_romfs(files: dict[str, bytes]) -> bytes:
    """Pack files by path into a ROMFS."""
    tree: dict[str, object] = {}
    for name in sorted(files):
        *folders, last = name.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})  # type: ignore[assignment]
        node[last] = files[name]
    writer = VfsRomWriter()
    _write(writer, tree)
    return bytes(writer.finalise())


def _write(writer: "VfsRomWriter", tree: dict[str, object]) -> None:
    for name, content in sorted(tree.items()):
        if isinstance(content, dict):
            writer.opendir(name)
            _write(writer, content)
            writer.closedir()
        else:
            writer.mkfile(name, content)
