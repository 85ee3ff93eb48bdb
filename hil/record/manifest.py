# SPDX-License-Identifier: Apache-2.0
"""The manifest of a report: the hash of each file, signed with the key of the bench.

Does not check the content of the record; see `hil.record.record`. `manifest.json` is written last.
Its bytes have one form only. So a change of any byte of any file of the report is detected.
A folder has no other files or folders than those of the manifest. All are regular files.

    {"files": {"junit.xml": SHA-256, …}, "format": …, "key": …, "signature": …}
"""

import re
from pathlib import Path
from typing import Any

from hil.errors import BenchError
from hil.io.regular_file import REPORT_BYTES, read_regular, write_whole
from hil.io.strict_json import canonical_json, parse_strict, sha256
from hil.record.bench_key import BenchKey, is_valid_signature

MANIFEST = "manifest.json"
MANIFEST_FORMAT = "coldloop-manifest-1"
_HEX = re.compile(r"[0-9a-f]+")


def write_manifest(folder: Path, names: list[str], key: BenchKey) -> Path:
    """Sign the files `names` of a folder; give the path of the manifest. Raises BenchError."""
    hashes = {name: sha256(read_regular(folder / name, REPORT_BYTES)) for name in names}
    body = {"format": MANIFEST_FORMAT, "files": hashes, "key": key.public}
    path = folder / MANIFEST
    write_whole(path, _encode({**body, "signature": key.sign(_signed_text(body))}))
    return path


def find_manifest_problems(folder: Path, record_key: object) -> list[str]:
    """List the differences between a folder and its manifest; `record_key` must have signed it."""
    path = folder / MANIFEST
    try:
        data = read_regular(path, REPORT_BYTES)
        manifest = parse_strict(data, path)
    except BenchError as error:
        return [f"{MANIFEST}: {_cut_path(error, path)}: no file of the report is signed"]
    hashes = manifest.get("files")
    if manifest.get("format") != MANIFEST_FORMAT or not isinstance(hashes, dict):
        return [f"{MANIFEST}: not a manifest of the format {MANIFEST_FORMAT}"]
    if data != _encode(manifest) or not _is_signed(manifest):
        return [f"{MANIFEST}: the signature does not match its content"]
    if manifest.get("key") != record_key:
        return [f"{MANIFEST}: signed with another key than the record"]
    return [*_find_changes(folder, hashes), *_find_unsigned(folder, hashes)]


def _encode(manifest: dict[str, Any]) -> bytes:
    return canonical_json(manifest) + b"\n"


def _signed_text(body: dict[str, Any]) -> str:
    return sha256(canonical_json(body))


def _is_signed(manifest: dict[str, Any]) -> bool:
    key, signature = str(manifest.get("key")), str(manifest.get("signature"))
    body = {name: value for name, value in manifest.items() if name != "signature"}
    if not (_HEX.fullmatch(key) and _HEX.fullmatch(signature)):
        return False
    return is_valid_signature(key, signature, _signed_text(body))


def _find_changes(folder: Path, hashes: dict[str, Any]) -> list[str]:
    problems = []
    for name, digest in hashes.items():
        path = folder / name
        if "/" in name:
            problems.append(f"{name}: not the name of a file of this folder")
            continue
        try:
            if is_changed(read_regular(path, REPORT_BYTES), digest):
                problems.append(f"{name}: changed after it was signed")
        except BenchError as error:
            problems.append(f"{name}: {_cut_path(error, path)}")
    return problems


def is_changed(data: bytes, digest: object) -> bool:
    """Return whether the bytes of a file are not those that were signed."""
    return sha256(data) != digest


def _cut_path(error: BenchError, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ")


def _find_unsigned(folder: Path, hashes: dict[str, Any]) -> list[str]:
    """Name each file, folder or link that the manifest does not have."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        return [f"{folder}: {error.strerror}: its files cannot be listed"]
    return [
        f"{path.name}: {_kind_of(path)}, not signed: it was added later"
        for path in entries
        if path.name not in hashes and path.name != MANIFEST
    ]


def _kind_of(path: Path) -> str:
    if path.is_symlink():
        return "symbolic link"
    return "folder" if path.is_dir() else "file"
