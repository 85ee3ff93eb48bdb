# SPDX-License-Identifier: Apache-2.0
"""Software bill of materials in CycloneDX 1.5 (JSON), from the locks: `make sbom`.

    python -m deploy.release.sbom [--out dist/sbom.cdx.json]

Does not scan an environment. It lists the packages that the locks of the agent and of its extras
pin, with the hash of each file that pip can install, and the vendored packages. The serial number
is made from the content, so the same tree gives the same bytes.
"""

import argparse
import json
import re
import tomllib
import uuid
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LOCKS = {
    "agent.txt": "required",
    "northbound.txt": "optional",
    "ops.txt": "optional",
    "relay.txt": "optional",
    "bench.txt": "optional",
}
"""Lock in requirements/ and the scope of its packages: extras are optional."""
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_UPLOT = ROOT / "agent" / "tools" / "web" / "static" / "uplot"


def pinned_components(text: str, scope: str) -> list[dict[str, Any]]:
    """List the packages of a lock file as components."""
    components = []
    for entry in text.replace("\\\n", " ").splitlines():
        match = _PIN.match(entry)
        if match is None:
            continue
        name, version = match.group(1).lower(), match.group(2)
        purl = f"pkg:pypi/{name}@{version}"
        hashes = [{"alg": "SHA-256", "content": h} for h in sorted(_HASH.findall(entry))]
        reference = {"type": "distribution", "url": purl, "hashes": hashes}
        component = _component(name, version, purl, scope)
        components.append(component | {"externalReferences": [reference]})
    return components


def _component(name: str, version: str, purl: str, scope: str) -> dict[str, Any]:
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "scope": scope,
    }


def vendored_components() -> list[dict[str, Any]]:
    """List the vendored packages: uPlot, on the pages."""
    head = (_UPLOT / "uPlot.iife.min.js").read_text(encoding="utf-8")[:400]
    match = re.search(r"v(\d+\.\d+\.\d+)", head)
    version = match.group(1) if match else "unknown"
    return [_component("uplot", version, f"pkg:npm/uplot@{version}", "optional")]


def read_locks() -> dict[str, str]:
    """Read the locks, by name."""
    return {name: (ROOT / "requirements" / name).read_text(encoding="utf-8") for name in LOCKS}


def make_sbom(project: dict[str, Any], locks: dict[str, str]) -> dict[str, Any]:
    """Make the bill of materials of a project (its `pyproject.toml`) and its locks."""
    name, version = project["project"]["name"], project["project"]["version"]
    own_purl = f"pkg:pypi/{name}@{version}"
    pinned: dict[str, dict[str, Any]] = {}
    for lock_name, text in locks.items():
        for component in pinned_components(text, LOCKS[lock_name]):
            pinned.setdefault(component["bom-ref"], component)
    components = [*pinned.values(), *vendored_components()]
    serial = uuid.uuid5(uuid.NAMESPACE_URL, own_purl + json.dumps(components, sort_keys=True))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": own_purl,
                "name": name,
                "version": version,
                "purl": own_purl,
            }
        },
        "components": components,
        "dependencies": [{"ref": own_purl, "dependsOn": [c["bom-ref"] for c in components]}],
    }


def main() -> None:
    """Write the file and print the number of components."""
    parser = argparse.ArgumentParser(prog="python -m deploy.release.sbom", description=__doc__)
    parser.add_argument("--out", default="dist/sbom.cdx.json", metavar="FILE")
    out = Path(parser.parse_args().out)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    document = make_sbom(project, read_locks())
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"{out}: {len(document['components'])} components")


if __name__ == "__main__":
    main()
