# SPDX-License-Identifier: Apache-2.0
"""Files that each board image freezes beside its own start: supervisor, release keys, Ed25519.

Runs on the build machine. The modules of the supervisor begin with an underscore. The check of
signatures has other names than in an application, because both can be loaded.
"""

from pathlib import Path

from deploy.errors import FirmwareError

_FOLDER = Path(__file__).resolve().parent
_SIGNING = _FOLDER.parents[2] / "protocols" / "signing"
KEY_BYTES = 32


def frozen_files(keys: tuple[bytes, ...] = ()) -> dict[str, bytes]:
    """Return the files by name. Without `keys` the board starts unsigned applications."""
    if any(len(key) != KEY_BYTES for key in keys):
        raise FirmwareError(f"a release key has {KEY_BYTES} bytes")
    files = {path.name: path.read_bytes() for path in sorted(_FOLDER.glob("_[a-z]*.py"))}
    for name in ("ed25519", "sha512"):
        text = (_SIGNING / f"{name}.py").read_bytes()
        files[f"_{name}.py"] = text.replace(b"protocols.signing.sha512", b"_sha512")
    files["_keys.py"] = f"KEYS = {keys!r}\n".encode()
    return files


def write_frozen(folder: Path, files: dict[str, bytes]) -> list[str]:
    """Write the files that changed; return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)
    return sorted(files)
