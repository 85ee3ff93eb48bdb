# SPDX-License-Identifier: Apache-2.0
"""Release steps: the bill of materials lists the pinned packages; the check of advisories."""

import base64
import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from deploy.ops import keys
from deploy.release import advisories, bundle, provenance, sbom, vex
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
        source = archive.read("coldloop.py")
        helps = json.loads(archive.read("drivers/tools/lib/commands.json"))
    lines, original = source.split(b"\n"), (ROOT / "coldloop.py").read_bytes().split(b"\n")
    assert len(lines) == len(original)
    assert lines[0] == b""  # the licence
    assert b"TYPE_CHECKING" not in source
    assert all(whole.startswith(line) for line, whole in zip(lines, original, strict=True))
    assert not any(line.lstrip().startswith(b"#") for line in lines)
    assert b'"""' in source
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert "hil run" not in helps
    assert {"agent", "modbus read", "config check"} <= set(helps)
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


def test_provenance_names_files_and_commit_and_is_signed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "_commit", lambda: "ab" * 20)
    monkeypatch.delenv("COLDLOOP_PASSPHRASE", raising=False)
    for number, name in enumerate(("release", "other"), 1):
        keys.make_key(tmp_path, name, number, "limits", "")
    wheel, out = tmp_path / "x.whl", tmp_path / "provenance.json"
    wheel.write_bytes(b"wheel")
    made = ["--key", str(tmp_path / "release.key"), "--out", str(out), "--made", "make bundle"]
    assert provenance.main([*made, str(wheel)]) == 0
    checked = ["--check", str(out), "--trust", str(tmp_path / "release.json"), str(wheel)]
    assert provenance.main(checked) == 0
    envelope = json.loads(out.read_text())
    statement = json.loads(base64.b64decode(envelope["payload"]))
    assert statement["subject"][0]["digest"]["sha256"] == hashlib.sha256(b"wheel").hexdigest()
    definition = statement["predicate"]["buildDefinition"]
    assert definition["resolvedDependencies"][0]["digest"] == {"gitCommit": "ab" * 20}
    public = json.loads((tmp_path / "release.json").read_text())["public"]
    other = json.loads((tmp_path / "other.json").read_text())["public"]
    assert provenance.check(envelope, public, [wheel]) == []
    assert "not signed by this key" in provenance.check(envelope, other, [wheel])[0]
    changed = base64.b64encode(base64.b64decode(envelope["payload"]) + b" ").decode()
    for key, value in (("payload", changed), ("payloadType", "text/plain"), ("signatures", [])):
        assert provenance.check({**envelope, key: value}, public, [wheel])
    wheel.write_bytes(b"another")
    assert provenance.main(checked) == 1
    assert "x.whl: another content" in capsys.readouterr().out


def test_the_signed_text_is_that_of_dsse() -> None:
    """The example of protocol.md of DSSE v1.0."""
    text = provenance.authenticated_text("http://example.com/HelloWorld", b"hello world")
    assert text == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
