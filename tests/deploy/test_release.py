# SPDX-License-Identifier: Apache-2.0
"""Release steps: the bill of materials lists the pinned packages; the check of advisories."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from deploy.release import advisories, bundle, sbom, vex
from tests.support.repository import ROOT, project_settings


def test_the_sbom_lists_every_pinned_package_with_hashes(tmp_path: Path) -> None:
    out = tmp_path / "bom.json"
    command = [sys.executable, "-m", "deploy.release.sbom", "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    bill = json.loads(out.read_text())
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.5", 1)
    lock = "".join(sbom.read_locks().values())
    names = [line.split("==")[0].lower() for line in lock.splitlines() if "==" in line]
    listed = {c["name"]: c for c in bill["components"]}
    assert [name for name in names if name not in listed] == []
    for name in names:
        hashes = listed[name]["externalReferences"][0]["hashes"]
        assert hashes
        assert all(h["content"] in lock for h in hashes)
    assert {name for name in listed if listed[name]["scope"] == "required"} == {"pyserial"}
    assert listed["uplot"]["version"] != "unknown"
    refs = {c["bom-ref"] for c in bill["components"]}
    assert set(bill["dependencies"][0]["dependsOn"]) == refs
    assert len(refs) == len(bill["components"])


def test_the_sbom_is_reproducible() -> None:
    locks = sbom.read_locks()
    first, second = (
        sbom.make_sbom(project_settings(), locks),
        sbom.make_sbom(project_settings(), locks),
    )
    assert first == second
    locks["ops.txt"] = locks["ops.txt"].replace("==", "==9", 1)
    other = sbom.make_sbom(project_settings(), locks)
    assert other["serialNumber"] != first["serialNumber"]


def test_the_vex_names_each_statement() -> None:
    document = sbom.make_sbom(project_settings(), sbom.read_locks())
    name = document["components"][0]["name"]
    good = {"id": "CVE-1", "package": name, "state": "not_affected", "detail": "not loaded"}
    good["justification"] = "code_not_reachable"
    made = vex.make_vex([good], document)
    assert made["vulnerabilities"][0]["affects"] == [{"ref": document["components"][0]["bom-ref"]}]
    assert made["metadata"]["component"] == document["metadata"]["component"]
    for change in ({"package": "none"}, {"state": "fine"}, {"justification": ""}, {"detail": ""}):
        with pytest.raises(ValueError, match="CVE-1"):
            vex.make_vex([{**good, **change}], document)
    assert vex.make_vex([], document)["vulnerabilities"] == []


@pytest.mark.parametrize(
    ("code", "output", "verdict"),
    [
        (0, "No known vulnerabilities found", advisories.GOOD),
        (1, "Found 1 known vulnerability in 1 package\nName ...", advisories.VULNERABLE),
        (1, "Traceback\nConnectionError: no network", advisories.UNKNOWN),
        (2, "", advisories.UNKNOWN),
    ],
)
def test_the_tool_output_is_interpreted(code: int, output: str, verdict: int) -> None:
    assert advisories.interpret(code, output)[0] == verdict


def test_an_unknown_result_is_an_error_only_when_strict(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert (advisories.main([]), advisories.main(["--strict"])) == (0, advisories.UNKNOWN)
    assert "not checked" in capsys.readouterr().out
    monkeypatch.setattr("shutil.which", lambda _: "/nowhere/pip-audit")
    assert advisories.main(["--strict"]) == advisories.UNKNOWN


def test_the_bundle_of_a_server_fits_an_update_and_runs(tmp_path: Path) -> None:
    assert bundle.main(["--out", str(tmp_path)]) == 0
    (path,) = tmp_path.iterdir()
    data = path.read_bytes()
    assert len(data) <= bundle.MAX_BYTES
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        record = archive.read(next(name for name in names if name.endswith("/RECORD"))).decode()
    assert [name for name in names if name.startswith("hil/")] == ["hil/__init__.py"]
    assert {line.split(",")[0] for line in record.splitlines()} == set(names)
    sample = ROOT / "deploy" / "examples" / "unit.json"
    command = [sys.executable, "-P", "-m", "coldloop", "agent", "--check", "--config", str(sample)]
    completed = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(path)},
        check=False,
    )
    assert completed.stdout.endswith("good\n"), completed.stderr
    assert bundle.main(["--out", str(tmp_path)]) == 0
    assert path.read_bytes() == data
