"""A software bill of materials in CycloneDX 1.5 (JSON), from the lock file: `make sbom`.

    python -m deploy.release.sbom [--out dist/sbom.cdx.json]

Not a scan of an environment: what is listed is what `requirements/run.txt` pins, with the hashes of
every file that may be installed for it, and what the repository carries within itself. The same
tree gives the same bytes: the serial number is made from the content.
"""

import argparse
import json
import re
import tomllib
import uuid
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements" / "run.txt"
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_UPLOT = ROOT / "hil" / "page" / "static" / "uplot"


def pinned_components(text: str) -> list[dict[str, Any]]:
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
        components.append(_component(name, version, purl) | {"externalReferences": [reference]})
    return components


def _component(name: str, version: str, purl: str) -> dict[str, Any]:
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "scope": "required",
    }


def vendored_components() -> list[dict[str, Any]]:
    """List what the repository carries within itself."""
    head = (_UPLOT / "uPlot.iife.min.js").read_text(encoding="utf-8")[:400]
    match = re.search(r"v(\d+\.\d+\.\d+)", head)
    version = match.group(1) if match else "unknown"
    return [_component("uplot", version, f"pkg:npm/uplot@{version}")]


def make_sbom(project: dict[str, Any], lock: str) -> dict[str, Any]:
    """Write the bill for a project (its `pyproject.toml`) and its lock."""
    name, version = project["project"]["name"], project["project"]["version"]
    own = f"pkg:pypi/{name}@{version}"
    components = pinned_components(lock) + vendored_components()
    serial = uuid.uuid5(uuid.NAMESPACE_URL, own + json.dumps(components, sort_keys=True))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": name,
                "version": version,
                "purl": own,
            }
        },
        "components": components,
        "dependencies": [{"ref": own, "dependsOn": [c["bom-ref"] for c in components]}],
    }


def main() -> None:
    """Write it."""
    parser = argparse.ArgumentParser(prog="python -m deploy.release.sbom", description=__doc__)
    parser.add_argument("--out", default="dist/sbom.cdx.json", metavar="FILE")
    out = Path(parser.parse_args().out)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    document = make_sbom(project, LOCK.read_text(encoding="utf-8"))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"{out}: {len(document['components'])} components")


if __name__ == "__main__":
    main()
