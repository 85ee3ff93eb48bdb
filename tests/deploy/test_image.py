# SPDX-License-Identifier: Apache-2.0
"""Image of a controller: partitions, read-only root, update into the other slot, way back.

As root it installs the packages that it needs (`PACKAGES`, 0.3 GB); without them the tests skip and
name what is missing. `COLDLOOP_MKOSI`: further options of mkosi.
"""

import base64
import json
import os
import shlex
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from deploy.debian.tree import FILES
from tests.support.programs import MISSING, PATH, require_program
from tests.support.repository import ROOT

PACKAGES = (
    "mkosi",
    "systemd-repart",
    "systemd-ukify",
    "systemd-boot-tools",
    "erofs-utils",
    "reprepro",
    "mtools",
    "dosfstools",
    "qemu-system-x86",
    "ovmf",
)
LIBRARY = "libsystemd-shared"
BUILD = ROOT / "deploy/debian/image/build.sh"
OVMF = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
EROFS_MAGIC = b"\xe2\xe1\xf5\xe0"
LEAST_FAT32 = 65_525
"""Clusters; the UEFI firmware takes a smaller file system for no FAT32."""
BOOT_S = 3600
CLOCK = "shift=1,sleep=off"
"""The time of the machine counts its instructions: else its devices time out on a loaded host."""
REPORT = """[Unit]
After=multi-user.target coldloop-boot-check.service
[Service]
StandardOutput=tty
TTYPath=/dev/ttyS0
ExecStart=/bin/sh -c '. /etc/os-release; \\
echo "@@ version $IMAGE_VERSION"; \\
echo "@@ root $(findmnt -no FSTYPE,OPTIONS / | cut -d, -f1)"; \\
touch /usr/x 2>/dev/null || echo "@@ read-only"; \\
sleep 45; echo "@@ agent $(systemctl is-active coldloop)"; \\
if [ "$IMAGE_VERSION" = 1 -a ! -e /var/tried ]; then touch /var/tried; \\
mount -o ro /dev/vdb /mnt && cp /mnt/* /var/lib/coldloop-update/ && \\
/usr/lib/systemd/systemd-sysupdate update && echo "@@ updated"; sync; systemctl reboot; \\
else echo "@@ kernels $(ls /efi/EFI/Linux /boot/EFI/Linux 2>/dev/null | tr "\\\\n" " ")"; \\
systemctl poweroff; fi'
"""
"""A service of the test alone: what runs, then the update, then what runs after it."""
BAD_RELEASE = """[Service]
ExecStartPre=/bin/sh -c '. /etc/os-release; [ "$IMAGE_VERSION" = 1 ]'
"""
"""Makes the agent of release 2 fail at its start."""


def runs_repart(*folder: str) -> bool:
    path = shutil.which("systemd-repart", path=":".join((*folder, PATH)))
    return path is not None and subprocess.run([path, "--version"], check=False).returncode == 0


def own_repart(folder: Path) -> list[str]:
    """Return the options for a systemd-repart with its own library.

    A machine that is not booted with systemd can have a library without functions of the TPM.
    """
    if runs_repart():
        return []
    subprocess.run(["apt-get", "-q", "download", LIBRARY], check=False, cwd=folder)
    for package in folder.glob(f"{LIBRARY}_*.deb"):
        subprocess.run(["dpkg", "-x", str(package), str(folder)], check=True)
    library = next(folder.glob(f"usr/lib/*/systemd/{LIBRARY}-*.so"), None)
    if library is None:
        pytest.skip(f"{MISSING}systemd-repart does not start, and there is no {LIBRARY}")
    programs = folder / "bin"
    programs.mkdir()
    repart = programs / "systemd-repart"
    for source in library.parent.iterdir():
        shutil.copy(source, programs)
    start = f'LD_LIBRARY_PATH={programs} exec /usr/bin/systemd-repart "$@"'
    repart.write_text(f"#!/bin/sh\n{start}\n")
    repart.chmod(0o755)
    if not runs_repart(str(programs)):
        pytest.skip(f"{MISSING}systemd-repart does not start")
    return ["--extra-search-path", str(programs)]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Releases 1 and 2, in a folder. Needs the network of apt, and 3 GB."""
    subprocess.run([str(ROOT / "deploy/test-programs.sh"), *PACKAGES], check=True)
    for program in ("mkosi", "ukify", "mkfs.erofs", "mcopy", "mkfs.vfat", "reprepro"):
        require_program(program)
    folder = tmp_path_factory.mktemp("image")
    tools, cache = folder / "tools", folder / "cache"
    for path in (tools, cache):
        path.mkdir()
    options = shlex.split(os.environ.get("COLDLOOP_MKOSI", "")) or own_repart(tools)
    options += ["--incremental", "--cache-directory", str(cache)]
    for version in ("1", "2"):
        subprocess.run([str(BUILD), version, str(folder), *options], check=True, cwd=ROOT)
    return folder


def used_bytes(root: Path) -> int:
    """Return the length of an erofs: blocks of 4096 bytes (superblock, offset 36)."""
    with root.open("rb") as file:
        file.seek(1024 + 36)
        return int(struct.unpack("<I", file.read(4))[0]) * 4096


def test_emergency_mode_starts_again() -> None:
    """Also in the initrd: else a damaged root waits for a person at each of its tries."""
    text = (BUILD.parent / "mkosi.conf").read_text()
    encoded = text.partition("systemd.unit-dropin.emergency.service:")[2].split()[0]
    drop_in = base64.b64decode(encoded, validate=True).decode().splitlines()
    assert drop_in[0] == "[Service]"
    assert drop_in[-2:] == ["ExecStart=", "ExecStart=/usr/bin/systemctl --force reboot"]


def count_clusters(head: bytes) -> int:
    """Return the clusters of a FAT32 file system."""
    sector, per_cluster, reserved, fats = struct.unpack_from("<HBHB", head, 11)
    sectors, per_fat = struct.unpack_from("<I", head, 32)[0], struct.unpack_from("<I", head, 36)[0]
    assert sector in (512, 1024, 2048, 4096)
    return int((sectors - reserved - fats * per_fat) // per_cluster)


@pytest.mark.soak
def test_a_new_disk_has_one_release_and_an_empty_slot(images: Path) -> None:
    disk = images / "coldloop_1.raw"
    command = ["sfdisk", "--json", str(disk)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    partitions = json.loads(output)["partitiontable"]["partitions"]
    names = [part["name"] for part in partitions]
    assert names[1:] == ["coldloop_1", "_empty", "coldloop-data"]
    assert partitions[1]["type"] == partitions[2]["type"]
    assert partitions[1]["size"] == partitions[2]["size"]
    with disk.open("rb") as file:
        file.seek(partitions[0]["start"] * 512)
        assert count_clusters(file.read(64)) >= LEAST_FAT32
        file.seek(partitions[1]["start"] * 512 + 1024)
        assert file.read(4) == EROFS_MAGIC
    assert (images / "coldloop_2.root.raw").stat().st_size <= partitions[2]["size"] * 512
    release = used_bytes(images / "coldloop_2.root.raw")
    release += (images / "coldloop_2.efi").stat().st_size
    assert 2 * release < partitions[3]["size"] * 512  # the last update and the next one


def boot(images: Path, folder: Path, *credentials: tuple[str, str], part: float = 1.0) -> list[str]:
    """Boot release 1 until the machine switches itself off; return its reports.

    `part`: how much of the root of release 2 the update has.
    """
    machine = require_program("qemu-system-x86_64")
    if not OVMF.is_file():
        pytest.skip(MISSING + "ovmf")
    disk, updates, content = folder / "disk.raw", folder / "updates.img", folder / "content"
    subprocess.run(["cp", "--sparse=always", str(images / "coldloop_1.raw"), str(disk)], check=True)
    content.mkdir()
    for name in ("coldloop_2.root.raw", "coldloop_2.efi"):
        if part < 1 and name.endswith(".raw"):
            shutil.copy(images / name, content / name)
            os.truncate(content / name, int(part * used_bytes(images / name)))
        else:
            os.link(images / name, content / name)
    subprocess.run(["mkfs.erofs", "-z", "lz4", str(updates), str(content)], check=True)
    unit = json.loads((FILES / "unit.json").read_text())
    unit["broker"] = {"address": "tcp:127.0.0.1:1883"}  # without the certificates of a site
    encoded = base64.b64encode(json.dumps(unit).encode()).decode()
    lines = f"f~ /etc/coldloop/unit.json 0600 - - - {encoded}"
    wanted = (
        ("tmpfiles.extra", lines),
        ("systemd.extra-unit.proof.service", REPORT),
        ("systemd.unit-dropin.multi-user.target", "[Unit]\nWants=proof.service\n"),
        *credentials,
    )
    command = [machine, "-m", "1024", "-accel", "tcg", "-icount", CLOCK, "-nographic"]
    command += ["-monitor", "none", "-serial", f"file:{folder / 'console'}"]
    command += ["-drive", f"if=pflash,format=raw,readonly=on,file={OVMF}"]
    variables = folder / "variables.fd"
    shutil.copyfile(OVMF.with_name("OVMF_VARS_4M.fd"), variables)
    command += ["-drive", f"if=pflash,format=raw,file={variables}"]
    for path in (disk, updates):
        command += ["-drive", f"if=virtio,format=raw,file={path}"]
    for name, text in wanted:
        value = base64.b64encode(text.encode()).decode()
        command += ["-smbios", f"type=11,value=io.systemd.credential.binary:{name}={value}"]
    subprocess.run(command, check=True, timeout=BOOT_S, stdin=subprocess.DEVNULL)
    console = (folder / "console").read_text(errors="replace")
    return [line.partition("@@ ")[2].strip() for line in console.splitlines() if "@@ " in line]


@pytest.mark.soak
def test_an_update_runs_from_the_other_slot(images: Path, tmp_path: Path) -> None:
    reports = boot(images, tmp_path)
    first, second = reports[:5], reports[5:]
    assert first == ["version 1", "root erofs ro", "read-only", "agent active", "updated"]
    assert second[:4] == ["version 2", "root erofs ro", "read-only", "agent active"]
    assert sorted(second[4].split()[1:]) == ["coldloop_1.efi", "coldloop_2.efi"]


@pytest.mark.soak
def test_a_release_whose_agent_fails_goes_back(images: Path, tmp_path: Path) -> None:
    """Three tries, then release 1 runs again."""
    reports = boot(images, tmp_path, ("systemd.unit-dropin.coldloop.service", BAD_RELEASE))
    versions = [line.split()[1] for line in reports if line.startswith("version")]
    assert versions[0] == versions[-1] == "1"
    assert 1 <= versions.count("2") <= 3
    assert reports[-1].split()[1:] == ["coldloop_1.efi", "coldloop_2+0-3.efi"]


@pytest.mark.soak
def test_a_damaged_root_goes_back(images: Path, tmp_path: Path) -> None:
    """Release 2 has no end: its initrd mounts nothing, three times. Then release 1 runs again."""
    reports = boot(images, tmp_path, part=0.5)
    versions = [line.split()[1] for line in reports if line.startswith("version")]
    assert versions == ["1", "1"]
    assert reports[-1].split()[1:] == ["coldloop_1.efi", "coldloop_2+0-3.efi"]
