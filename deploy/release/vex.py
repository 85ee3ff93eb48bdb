# SPDX-License-Identifier: Apache-2.0
"""Vulnerability exploitability exchange (VEX) in CycloneDX 1.5: `make vex`.

    python -m deploy.release.vex [--out dist/vex.cdx.json]

The statements are in `vex.toml`; people write them after `make advisories` found something. Does
not search for vulnerabilities. A statement about a package that no lock pins is an error, because
it is about nothing.
"""

import argparse
import json
import sys
import tomllib
from pathlib import Path
from typing import Any

from deploy.release.sbom import ROOT, make_sbom, read_locks

LIST = Path(__file__).with_name("vex.toml")
STATES = ("exploitable", "resolved", "in_triage", "not_affected", "false_positive")
JUSTIFICATIONS = (
    "code_not_present",
    "code_not_reachable",
    "requires_configuration",
    "requires_dependency",
    "requires_environment",
    "protected_by_compiler",
    "protected_at_runtime",
    "protected_at_perimeter",
    "protected_by_mitigating_control",
)


def make_vex(statements: list[dict[str, str]], sbom: dict[str, Any]) -> dict[str, Any]:
    """Return the document. Raises `ValueError`: a statement is not complete or about nothing."""
    refs = {component["name"]: component["bom-ref"] for component in sbom["components"]}
    rows = []
    for row in statements:
        if row.get("package") not in refs:
            raise ValueError(f"{row.get('id')}: no lock pins {row.get('package')}")
        if row.get("state") not in STATES or not row.get("detail"):
            raise ValueError(f"{row.get('id')}: state ({', '.join(STATES)}) and detail are needed")
        analysis = {"state": row["state"], "detail": row["detail"]}
        if row["state"] == "not_affected":
            if row.get("justification") not in JUSTIFICATIONS:
                raise ValueError(f"{row['id']}: justification: {', '.join(JUSTIFICATIONS)}")
            analysis["justification"] = row["justification"]
        affected = [{"ref": refs[row["package"]]}]
        rows.append({"id": row["id"], "analysis": analysis, "affects": affected})
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": sbom["metadata"]["component"]},
        "vulnerabilities": rows,
    }


def main() -> int:
    """Write the file and print the number of statements."""
    parser = argparse.ArgumentParser(prog="python -m deploy.release.vex", description=__doc__)
    parser.add_argument("--out", default="dist/vex.cdx.json", metavar="FILE")
    out = Path(parser.parse_args().out)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    statements = tomllib.loads(LIST.read_text(encoding="utf-8")).get("statement", [])
    try:
        document = make_vex(statements, make_sbom(project, read_locks()))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"{out}: {len(document['vulnerabilities'])} statements")
    return 0


if __name__ == "__main__":
    sys.exit(main())
