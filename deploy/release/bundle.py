# SPDX-License-Identifier: Apache-2.0
"""Bundle for an update of a server: our wheel without what a controller does not run.

    python -m deploy.release.bundle [--out dist]

An update has at most MAX_BYTES (220 chunks of 7168 bytes). The whole wheel is larger. The same
source gives the same bytes. Does not send the bundle; see `coldloop config update`.
"""

import argparse
import ast
import io
import json
import subprocess
import sys
import tempfile
import tokenize
import zipfile
from pathlib import Path

import coldloop
from agent.remote.message.manifest import MAX_CHUNK_BYTES, MAX_CHUNKS
from deploy.firmware.application.board_source import without_type_blocks
from drivers.tools.lib.command_spec import SPEC_FILE

ROOT = Path(__file__).resolve().parents[2]
MAX_BYTES = MAX_CHUNKS * MAX_CHUNK_BYTES
DROPPED = (
    "hil/",
    "deploy/broker/",
    "deploy/container/",
    "deploy/debian/",
    "deploy/examples/",
    "deploy/factory/",
    "deploy/firmware/",
    "deploy/northbound/snmp/COLDLOOP-MIB",
    "deploy/ops/command/decommission.py",
    "deploy/ops/command/history.py",
    "deploy/ops/command/pki.py",
    "deploy/ops/command/push.py",
    "deploy/ops/command/update.py",
    "deploy/ops/fleet/",
    "deploy/ops/pki/",
    "deploy/ops/unit_config/dry_run.py",
    "deploy/orchestrate/",
    "deploy/relay/",
    "deploy/release/",
    "deploy/secret_file.py",
    "agent/runtime/board/",
    "agent/runtime/loop_interfaces.py",
    "agent/runtime/micropython.py",
    "drivers/ports/micropython/",
)
"""A controller with CPython does not run these: the bench, packages and images, the authority of
certificates, the end and the audit log of a unit, changes and updates that are sent to units, the
scheduler of a site, the relay on the ground with its broker and the commands that read its
database, the steps of a release, the ports of boards, types, and examples of these. A command
writes the MIB."""
KEPT = (
    "deploy/examples/unit.json",
    "deploy/firmware/__init__.py",
    "deploy/firmware/memory_layout.py",
    "deploy/firmware/supervisor/__init__.py",
    "deploy/firmware/supervisor/_files.py",
    "deploy/firmware/supervisor/_slots.py",
    "deploy/relay/__init__.py",
    "deploy/relay/terminal_text.py",
    "hil/__init__.py",
)
"""`coldloop` checks that each package comes from the same distribution. `coldloop config` prints
texts of units by `terminal_text`, and reads the header of an image by `memory_layout`."""
_SPEC_ENTRY = Path(SPEC_FILE).relative_to(ROOT).as_posix()
_EPOCH = (1980, 1, 1, 0, 0, 0)


def main(argv: list[str] | None = None) -> int:
    """Build the bundle; print its path and size. Returns 1 if it is too large for an update."""
    parser = argparse.ArgumentParser(prog="python -m deploy.release.bundle", description=__doc__)
    parser.add_argument("--out", default="dist", metavar="FOLDER", type=Path)
    out: Path = parser.parse_args(argv).out
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
        subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
        wheel = next(Path(folder).glob("*.whl"))
        out.mkdir(parents=True, exist_ok=True)
        path = out / wheel.name.replace("-py3-", "-update.py3-")
        path.write_bytes(reduce_wheel(wheel))
    size = path.stat().st_size
    print(f"{path}: {size} bytes of {MAX_BYTES}")
    return 0 if size <= MAX_BYTES else 1


def is_dropped(entry: str) -> bool:
    """Return whether a file, or its line of RECORD, is left out."""
    return entry.startswith(DROPPED) and not entry.startswith(KEPT)


def reduce_wheel(wheel: Path) -> bytes:
    """Return a wheel without the dropped folders; its RECORD lists what remains, without hashes.

    Hashes do not compress (32 KB of the bundle), and the signed manifest of an update has the hash
    of the whole. Comments are empty, the licence line too: the wheel has the file LICENSE for all.
    So are the docstrings of functions. Blocks for type checkers are empty lines, as on a
    board. So each line keeps its number. METADATA has no description, which is the README.
    """
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(file, "w") as target:
            for name in sorted(source.namelist()):
                if is_dropped(name):
                    continue
                data = source.read(name)
                if name.endswith(".dist-info/RECORD"):
                    lines = data.decode().splitlines()
                    paths = (line.rsplit(",", 2)[0] for line in lines if not is_dropped(line))
                    data = "".join(f"{path},,\n" for path in paths).encode()
                elif name.endswith(".dist-info/METADATA"):
                    data = data.partition(b"\n\n")[0] + b"\n"
                elif name == _SPEC_ENTRY:
                    data = _reduce_commands(data)
                elif name.endswith(".py"):
                    data = without_type_blocks(
                        _without_comments(_without_function_docstrings(data))
                    )
                entry = zipfile.ZipInfo(name, _EPOCH)
                entry.external_attr = 0o644 << 16
                target.writestr(entry, data, zipfile.ZIP_DEFLATED, 9)
        file.seek(0)
        return file.read()


def _without_function_docstrings(source: bytes) -> bytes:
    """Return a module without the docstrings of its functions, which nothing shows."""
    lines = source.decode().split("\n")
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef):
            continue
        first = node.body[0]
        is_text = ast.get_docstring(node, clean=False) is not None
        if is_text and len(node.body) > 1:
            for row in range(first.lineno, (first.end_lineno or first.lineno) + 1):
                lines[row - 1] = ""
    return "\n".join(lines).encode()


def _without_comments(source: bytes) -> bytes:
    """Return a module without its comments."""
    text = source.decode()
    lines = text.split("\n")  # as tokenize; splitlines also splits inside texts
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column].rstrip()
    return "\n".join(lines).encode()


def _reduce_commands(data: bytes) -> bytes:
    """Return the texts of `--help` without those of commands that are left out."""
    places = {name: place.partition(":")[0] for name, (place, _) in coldloop.COMMANDS.items()}
    dropped = {name for name, at in places.items() if is_dropped(at.replace(".", "/") + ".py")}
    spec = json.loads(data)
    kept = {words: spec[words] for words in spec if words.partition(" ")[0] not in dropped}
    return json.dumps(kept, separators=(",", ":")).encode()


if __name__ == "__main__":
    sys.exit(main())
