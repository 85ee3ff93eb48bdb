# SPDX-License-Identifier: Apache-2.0
"""The manifest of a report: the hash of each file, signed with the key of the bench.

Does not check the content of the record; see `hil.record.record`. `manifest.json` is written last.
Its bytes have one form only. So a change of any byte of any file of the report is detected.

    {"files": {"junit.xml": SHA-256, …}, "format": …, "key": …, "signature": …}
"""

import re
from pathlib import Path
from typing import Any

from hil.errors import BenchError
from hil.record.bench_key import BenchKey, is_valid_signature
from hil.record.strict_json import canonical_json, parse_strict, sha256

MANIFEST = "manifest.json"
MANIFEST_FORMAT = "coldloop-manifest-1"
REPORT_SUFFIXES = (".html", ".json", ".pdf", ".xml")
"""Endings of the files that a reader takes for a part of the report."""
_HEX = re.compile(r"[0-9a-f]+")


def write_manifest(folder: Path, names: list[str], key: BenchKey) -> Path:
    """Sign the files `names` of a folder; give the path of the manifest."""
    hashes = {name: sha256((folder / name).read_bytes()) for name in names}
    body = {"format": MANIFEST_FORMAT, "files": hashes, "key": key.public}
    path = folder / MANIFEST
    path.write_bytes(_encode({**body, "signature": key.sign(_signed_text(body))}))
    return path


def find_manifest_problems(folder: Path, record_key: object) -> list[str]:
    """List the differences between a folder and its manifest; `record_key` must have signed it."""
    path = folder / MANIFEST
    if not path.is_file():
        return [f"{MANIFEST}: missing: no file of the report is signed"]
    data = path.read_bytes()
    try:
        manifest = parse_strict(data, path)
    except BenchError as error:
        return [str(error)]
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
        if "/" in name or not path.is_file():
            problems.append(f"{name}: missing")
        elif sha256(path.read_bytes()) != digest:
            problems.append(f"{name}: changed after it was signed")
    return problems


def _find_unsigned(folder: Path, hashes: dict[str, Any]) -> list[str]:
    names = sorted(
        path.name
        for path in folder.iterdir()
        if path.suffix.lower() in REPORT_SUFFIXES and path.name not in hashes
    )
    return [f"{name}: not signed: it was added later" for name in names if name != MANIFEST]
