# SPDX-License-Identifier: Apache-2.0
"""Signed provenance of a release: which files were made from which commit, and how.

    python -m deploy.release.provenance --key release.key [--made COMMAND] FILE...
    python -m deploy.release.provenance --check dist/provenance.json --trust release.json FILE...

Writes a statement of in-toto (v1) with the predicate SLSA provenance v1, in an envelope of DSSE
v1.0 with an Ed25519 signature. The key is one of `coldloop config keygen`; keep it away from the
machine that builds. Without `--key` nothing is written. Does not build. It cannot prove
what the build machine did: that is level 1 of SLSA, and a signature.
"""

import argparse
import base64
import datetime as dt
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from deploy.errors import OpsError
from deploy.ops import keys
from deploy.ops.arguments import PASSPHRASE
from deploy.release.sbom import ROOT

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
_BUILD_TYPE = "https://coldloop.example/make/v1"


def authenticated_text(payload_type: str, payload: bytes) -> bytes:
    """Return what is signed: PAE of DSSE v1.0, which separates type and content."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def make_statement(files: list[Path], commit: str, made: str, when: str) -> dict[str, Any]:
    """Return the statement. `commit`: of the source; `made`: the command; `when`: RFC 3339."""
    locks = sorted((ROOT / "requirements").glob("*.txt"))
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": file.name, "digest": {"sha256": _digest(file)}} for file in files],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": _BUILD_TYPE,
                "externalParameters": {"command": made},
                "resolvedDependencies": [
                    {"name": "source", "digest": {"gitCommit": commit}},
                    *({"name": f.name, "digest": {"sha256": _digest(f)}} for f in locks),
                ],
            },
            "runDetails": {
                "builder": {"id": f"python-{sys.version.split()[0]}"},
                "metadata": {"finishedOn": when},
            },
        },
    }


def sign(statement: dict[str, Any], key: keys.Key) -> dict[str, Any]:
    """Return the envelope."""
    payload = json.dumps(statement, sort_keys=True).encode()
    signature = key.sign(authenticated_text(PAYLOAD_TYPE, payload))
    return {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": key.public, "sig": base64.b64encode(signature).decode()}],
    }


def check(envelope: Any, public: str, files: list[Path]) -> list[str]:
    """Return the faults of an envelope and of the files that it must name; empty: none."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PublicKey,
    )

    try:
        payload = base64.b64decode(envelope["payload"], validate=True)
        text = authenticated_text(envelope["payloadType"], payload)
        signature = base64.b64decode(envelope["signatures"][0]["sig"], validate=True)
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(signature, text)
        statement = json.loads(payload)
        subjects = statement["subject"]
        named = {row["name"]: row["digest"]["sha256"] for row in subjects}
        kind = (envelope["payloadType"], statement["_type"], statement["predicateType"])
    except (InvalidSignature, ValueError, LookupError, TypeError, AttributeError):
        return ["the envelope is damaged, or not signed by this key"]
    if kind != (PAYLOAD_TYPE, STATEMENT_TYPE, PREDICATE_TYPE):
        return ["the envelope has no provenance"]
    faults = [f"{file.name}: not in the statement" for file in files if file.name not in named]
    known = [file for file in files if file.name in named]
    return faults + [f"{f.name}: another content" for f in known if named[f.name] != _digest(f)]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _commit() -> str:
    """Return the commit of the tree. Raises `OpsError`: none, or files are changed."""
    run = ["git", "-C", str(ROOT)]
    changed = subprocess.run(
        [*run, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=False
    )
    found = subprocess.run([*run, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if found.returncode or changed.returncode or changed.stdout:
        raise OpsError("provenance needs a tree of git without changed files")
    return found.stdout.strip()


def main(argv: list[str] | None = None) -> int:
    """Write or check the provenance. Returns 1 if the check finds a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", metavar="FILE", type=Path, nargs="+")
    parser.add_argument("--key", type=Path, metavar="FILE", help="key of the release")
    parser.add_argument("--made", default="make", metavar="COMMAND", help="command of the build")
    parser.add_argument("--out", type=Path, default=ROOT / "dist/provenance.json", metavar="FILE")
    parser.add_argument("--check", type=Path, metavar="FILE", help="check this envelope instead")
    parser.add_argument("--trust", type=Path, metavar="FILE", help="public key, for --check")
    arguments = parser.parse_args(argv)
    try:
        if arguments.check is not None:
            if arguments.trust is None:
                parser.error("--check needs --trust")
            public = str(keys.read_public_key(arguments.trust)["public"])
            faults = check(json.loads(arguments.check.read_bytes()), public, arguments.files)
            print("\n".join(faults) or f"{len(arguments.files)} files are those of the release")
            return 1 if faults else 0
        if arguments.key is None:
            parser.error("--key is needed")
        key = keys.load(arguments.key, os.environ.get(PASSPHRASE, ""))
        when = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        statement = make_statement(arguments.files, _commit(), arguments.made, when)
        arguments.out.write_text(json.dumps(sign(statement, key), indent=1) + "\n")
    except (OpsError, OSError, ValueError) as error:
        print(f"provenance: {error}", file=sys.stderr)
        return 2
    print(arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
