# SPDX-License-Identifier: Apache-2.0
"""Debian package: reproducible, hardened, relocatable; installation, upgrade and removal.

The package holds the packages of this environment, so the tests download nothing. With `-m soak` it
holds those of the locks, and is installed into a bare Debian root.
"""

import importlib.metadata
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import coldloop
from agent.commands import read_config
from agent.runtime import cpython_checksums
from deploy.debian import build, manual_page, tree
from tests.support.programs import require_program
from tests.support.repository import PACKAGES, ROOT, repo_files

EPOCH = 1767225600
PLAIN = "-Znone"  # xz would take most of the time
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"


def program_output(*command: str, **environment: str) -> str:
    """Run a command that must succeed; return its output."""
    completed = subprocess.run(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert completed.returncode == 0, f"{command}: {completed.stdout}"
    return completed.stdout


def package_facts(version: str = "0.2.0") -> tree.PackageFacts:
    return tree.PackageFacts(
        version,
        program_output(require_program("dpkg"), "--print-architecture").strip(),
        HERE,
        EPOCH,
    )


def locked_packages() -> list[str]:
    """Return the names of the locked packages in the Debian package."""
    entries = [line for lock in build.LOCKS for line in lock.read_text().splitlines()]
    return sorted({line.partition("==")[0] for line in entries if "==" in line})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python packages: ours, and those of the locks from this environment."""
    require_program("dpkg-deb")
    if not Path(f"/usr/bin/python{HERE}").exists():
        pytest.skip(f"this environment is not of Debian's Python ({HERE})")
    folder = tmp_path_factory.mktemp("site")
    for name in repo_files():
        own_packages = name == "coldloop.py" or name.split("/")[0] in PACKAGES
        if own_packages and not name.endswith(".sh"):  # as in the wheel
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    for name in locked_packages():
        for file in importlib.metadata.distribution(name).files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(str(file.locate()), folder / file)
    return folder


@pytest.fixture(scope="module")
def package(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package."""
    work = tmp_path_factory.mktemp("package")
    build.pack(work / "a.deb", site, work / "tree", package_facts(), PLAIN)
    return work / "a.deb"


@pytest.fixture(scope="module")
def unpacked(package: Path) -> Path:
    """The package, unpacked in another place."""
    target = package.parent / "elsewhere"
    program_output("dpkg-deb", "-x", str(package), str(target))
    return target


def test_built_twice_gives_the_same_bytes(site: Path, package: Path, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        copy = tmp_path / "copy"
        shutil.copytree(site, copy)  # other dates, another place
        build.pack(tmp_path / "b.deb", copy, tmp_path / "tree", package_facts(), PLAIN)
    finally:
        os.umask(before)
    assert (tmp_path / "b.deb").read_bytes() == package.read_bytes()


def test_the_package_holds_no_build_paths(package: Path, unpacked: Path) -> None:
    names = (str(package.parent).encode(), str(ROOT).encode())
    files = [p for p in unpacked.rglob("*") if p.is_file() and not p.is_symlink()]
    assert len(files) > 1000
    assert [p for p in files if any(name in p.read_bytes() for name in names)] == []


def test_modes_and_owners(package: Path) -> None:
    rows = [
        line.split(None, 5) for line in program_output("dpkg-deb", "-c", str(package)).splitlines()
    ]
    assert {row[1] for row in rows} == {"root/root"}
    modes = {row[5].split(" -> ")[0].removeprefix("."): row[0] for row in rows}
    assert modes["/etc/coldloop/tls/"] == "drwx------"
    assert modes.pop("/etc/coldloop/northbound/") == "drwx------"
    assert modes["/etc/coldloop/profiles/"] == "drwxr-xr-x"  # empty: files in it are the site's
    assert modes["/usr/lib/coldloop/bin/coldloop"] == "-rwxr-xr-x"
    del modes["/etc/coldloop/tls/"], modes["/usr/lib/coldloop/bin/coldloop"]
    assert set(modes.values()) <= {"drwxr-xr-x", "-rw-r--r--", "lrwxrwxrwx"}
    tops = {name.split("/")[1] for name in modes} - {""}
    assert tops == {"etc", "usr"}


def test_package_description(package: Path) -> None:
    text = program_output("dpkg-deb", "-f", str(package))
    minor = sys.version_info[1]
    assert f"Depends: python3 (>= {HERE}), python3 (<< 3.{minor + 1})" in text
    assert "{" not in text
    control = package.parent / "control"
    program_output("dpkg-deb", "-e", str(package), str(control))
    for place in (control / "conffiles").read_text().split():
        assert place.startswith("/etc/")
    for script in tree.SCRIPTS:
        program_output("sh", "-n", str(control / script))


def test_a_package_without_a_wheel_uses_the_module_of_debian(tmp_path: Path) -> None:
    """armhf has no wheel of cffi; the package links the module of Debian and depends on it."""
    require_program("dpkg-deb")
    (tmp_path / "site").mkdir()
    facts = package_facts()._replace(architecture="armhf", python="3.13")
    build.pack(tmp_path / "a.deb", tmp_path / "site", tmp_path / "tree", facts, PLAIN)
    depends = program_output("dpkg-deb", "-f", str(tmp_path / "a.deb"), "Depends")
    assert depends.endswith(", python3-cffi-backend\n")
    name = "_cffi_backend.cpython-313-arm-linux-gnueabihf.so"
    link = tmp_path / "tree" / tree.HOME / "lib/python3.13/site-packages" / name
    assert link.readlink() == Path("/usr/lib/python3/dist-packages") / name


def test_a_lock_without_a_package_keeps_the_others() -> None:
    lock = "# a\nb==1 \\\n    --hash=x \\\n    --hash=y\ncffi==2 \\\n    --hash=z\nd==3\n"
    expected = "# a\nb==1 \\\n    --hash=x \\\n    --hash=y\nd==3\n"
    assert build.without_packages(lock, ("cffi",)) == expected
    for path in build.LOCKS:
        text = path.read_text()
        assert build.without_packages(text, ()) == text
        rest = build.without_packages(text, ("cffi",))
        assert rest.count("==") == text.count("==") - text.count("\ncffi==")


@pytest.mark.parametrize("path", sorted((tree.FILES / "computers").glob("*.dts")))
def test_the_device_tree_overlays_compile(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "overlay.dtbo"
    command = (require_program("dtc"), "-@", "-I", "dts", "-O", "dtb", "-o", str(target))
    assert program_output(*command, str(path)) == ""
    text = program_output("dtc", "-I", "dtb", "-O", "dts", str(target))
    assert "pps-gpio" in text
    assert "linux,rs485-enabled-at-boot-time" in text


def test_checksums_are_right(package: Path, unpacked: Path) -> None:
    control = package.parent / "sums"
    program_output("dpkg-deb", "-e", str(package), str(control))
    sums = (control / "md5sums").read_text().splitlines()
    listed = {line.split("  ", 1)[1] for line in sums}
    there = {str(p.relative_to(unpacked)) for p in unpacked.rglob("*") if not p.is_dir()}
    assert there - listed == {"usr/lib/coldloop/bin/python", "usr/bin/coldloop"}
    program_output("sh", "-c", f"cd {unpacked} && md5sum --quiet -c {control}/md5sums")


def test_no_bytecode_and_a_changelog_of_debian(unpacked: Path) -> None:
    assert list(unpacked.rglob("__pycache__")) == []
    text = program_output("zcat", str(unpacked / "usr/share/doc/coldloop/changelog.gz"))
    changelog = unpacked.parent / "changelog"
    changelog.write_text(text)
    parsed = program_output(require_program("dpkg-parsechangelog"), "-l", str(changelog))
    assert "Version: 0.2.0\n" in parsed
    assert f"Maintainer: {tree.MAINTAINER}\n" in parsed


@pytest.mark.soak
def test_lintian_finds_no_error(package: Path, tmp_path: Path) -> None:
    """Long: 13 s. The other tests read the members, modes and fields of the package themselves.

    Without the two tags about the compression, which the package of a release has."""
    lintian = require_program("lintian")
    path = tmp_path / f"coldloop_0.2.0_{package_facts().architecture}.deb"
    shutil.copyfile(package, path)
    tags = ",".join(f"uses-no-compression-for-{part}-tarball" for part in ("data", "control"))
    command = [lintian, "--fail-on", "error", "--allow-root", "--no-cfg"]
    command += ["--suppress-tags", tags, str(path)]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stdout


def test_a_start_reports_changed_files(unpacked: Path, tmp_path: Path) -> None:
    site = unpacked / tree.HOME / f"lib/python{HERE}/site-packages"
    assert cpython_checksums.changed_files(site) == []
    listed = (site / cpython_checksums.SUMS).read_text().splitlines()
    assert len(listed) == sum(path.is_file() for path in site.rglob("*")) - 1
    folder = tmp_path / "site"
    shutil.copytree(site, folder)
    changed = folder / "agent/safety/supervisor.py"
    changed.write_bytes(changed.read_bytes() + b"\n")
    (folder / "deploy/firmware/qemu.py").unlink()
    names = [changed.relative_to(folder).as_posix(), "deploy/firmware/qemu.py"]
    assert cpython_checksums.changed_files(folder) == names
    command = [f"/usr/bin/python{HERE}", "-m", "coldloop", "agent", "--config", "/nowhere"]
    completed = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"},
    )
    assert completed.stderr.splitlines()[0] == (
        f"coldloop agent: {folder / names[0]} and 1 more: changed since it was packed; "
        "install the package again"
    )


def test_it_runs_where_it_was_unpacked(unpacked: Path) -> None:
    command = str(unpacked / "usr/bin/coldloop")
    assert "doctor" in program_output(command, "--help")
    sample = str(unpacked / "usr/share/doc/coldloop/examples/unit.json")
    assert program_output(command, "agent", "--check", "--config", sample).endswith("good\n")
    code = "import serial, cryptography.x509, sys; print(serial.__file__, sys.prefix)"
    where = program_output(str(unpacked / "usr/lib/coldloop/bin/python"), "-P", "-c", code).split()
    assert all(path.startswith(f"{unpacked}/usr/lib/coldloop") for path in where)


@pytest.mark.parametrize("name", ["bench", "demo", "hil"])
def test_the_bench_is_not_in_the_package(unpacked: Path, name: str) -> None:
    command = [str(unpacked / "usr/bin/coldloop"), name, "--unknown"]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (completed.returncode, completed.stdout) == (2, "")
    assert completed.stderr == (
        f"coldloop {name}: needs the extra `bench`: pip install 'coldloop[bench]'\n"
    )


def test_the_sample_configuration_is_valid() -> None:
    config = read_config(str(tree.FILES / "unit.json"))
    assert [str(a) for s, _, a in config.components if s == "safety"] == ["watchdog:systemd"]


SERVICES = ("coldloop.service", "northbound/coldloop-northbound@.service")


@pytest.mark.parametrize("name", SERVICES)
def test_the_unit_is_hardened(name: str) -> None:
    text = program_output(
        *(require_program("systemd-analyze"), "security", "--offline=true", "--no-pager"),
        str(tree.FILES / name),
    )
    score = float(text.partition("exposure level for ")[2].partition(": ")[2].split()[0])
    assert score <= 2.0


def test_the_servers_of_the_site_are_below_the_agent() -> None:
    lines = (tree.FILES / SERVICES[1]).read_text(encoding="utf-8").splitlines()
    for line in (
        *("MemoryMax=96M", "CPUQuota=20%", "Nice=10", "OOMScoreAdjust=500", "TasksMax=32"),
        *("DynamicUser=yes", "CapabilityBoundingSet=", "IPAddressDeny=any", "UMask=0077"),
        *("ProtectSystem=strict", "PrivateDevices=yes", "StateDirectoryMode=0700"),
    ):
        assert line in lines, line
    agent = (tree.FILES / SERVICES[0]).read_text(encoding="utf-8")
    assert "coldloop-site" not in agent  # a missing group must not stop the agent
    for socket_unit in (tree.FILES / "northbound").glob("*.socket"):
        text = socket_unit.read_text(encoding="utf-8")
        assert "ListenStream=127.0.0.1:" in text
        assert "Service=coldloop-northbound@web.service" in text


def test_the_unit_has_each_protection() -> None:
    """The score of systemd falls only a little if one of these is missing."""
    lines = (tree.FILES / "coldloop.service").read_text(encoding="utf-8").splitlines()
    lines += (tree.FILES / "site.conf").read_text(encoding="utf-8").splitlines()
    for line in (
        *("ProtectSystem=strict", "ProtectHome=yes", "PrivateTmp=yes", "DevicePolicy=closed"),
        *("DynamicUser=yes", "UMask=0077", "StateDirectoryMode=0700", "IPAddressDeny=any"),
        *("ProtectClock=yes", "ProtectKernelModules=yes", "ProtectKernelTunables=yes"),
    ):
        assert line in lines, line


@pytest.mark.parametrize("name", SERVICES)
def test_systemd_accepts_the_unit(tmp_path: Path, name: str) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    unit = tree.FILES / name
    for path in (unit, *unit.parent.glob("*.socket")):
        text = path.read_text().replace("/usr/lib/coldloop/bin/python", str(python))
        (tmp_path / path.name.replace("@.", "@web.")).write_text(text)
    units = [str(path) for path in sorted(tmp_path.glob("coldloop*"))]
    reported = program_output(require_program("systemd-analyze"), "verify", "--man=no", *units)
    assert [line for line in reported.splitlines() if "coldloop" in line] == []


def test_the_manual_names_every_command() -> None:
    page = manual_page.page("1.2.3", "2026-11-26")
    for name in coldloop.COMMANDS:
        assert f".B {name}\n" in page
    assert "{" not in page


def test_only_the_agent_and_the_operators_commands_are_packed() -> None:
    assert locked_packages() == [
        *("bacpypes3", "cffi", "cryptography", "microdot", "paho-mqtt", "pycparser", "pymodbus"),
        *("pyserial", "segno"),
    ]


# Installation, upgrade, removal: dpkg in a folder, with an almost empty package.


def dpkg(root: Path, *arguments: str) -> str:
    owner = () if os.geteuid() == 0 else (require_program("fakeroot"),)
    command = (*owner, require_program("dpkg"), f"--root={root}", f"--log={root}/log")
    forced = "not-root,depends,script-chrootless,confold,bad-path"
    return program_output(*command, f"--force-{forced}", *arguments)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A root with the first version of the package, and with files of a site."""
    root, site = tmp_path / "root", tmp_path / "site"
    site.mkdir()
    (site / "coldloop.py").write_text('"""Nothing."""\n')
    for folder in ("info", "updates", "triggers"):
        (root / "var/lib/dpkg" / folder).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    if not Path(f"/usr/bin/python{HERE}").exists():
        pytest.skip(f"this environment is not of Debian's Python ({HERE})")
    for version in ("1", "2"):
        build.pack(
            tmp_path / f"{version}.deb",
            site,
            tmp_path / f"tree{version}",
            package_facts(version),
            PLAIN,
        )
    assert "write /etc/coldloop/unit.json" in dpkg(root, "-i", str(tmp_path / "1.deb"))
    (root / "etc/coldloop/unit.json").write_text("{}")
    (root / "etc/systemd/system/coldloop.service.d/site.conf").write_text("[Service]\n#ours\n")
    (root / "var/lib/private/coldloop").mkdir(parents=True)
    (root / "var/lib/private/coldloop/log.1").write_text("telemetry")
    return root


def is_site_data_kept(root: Path) -> bool:
    """Return whether configuration, settings and log of the site are unchanged."""
    site = root / "etc/systemd/system/coldloop.service.d/site.conf"
    return (
        (root / "etc/coldloop/unit.json").read_text() == "{}"
        and site.read_text() == "[Service]\n#ours\n"
        and (root / "var/lib/private/coldloop/log.1").read_text() == "telemetry"
    )


def test_upgrade_and_removal_keep_configuration_and_log(installed: Path, tmp_path: Path) -> None:
    dpkg(installed, "-i", str(tmp_path / "2.deb"))
    assert "Version: 2" in dpkg(installed, "-s", "coldloop")
    assert is_site_data_kept(installed)
    dpkg(installed, "-r", "coldloop")
    assert not (installed / "usr/lib/coldloop").exists()
    assert is_site_data_kept(installed)
    dpkg(installed, "-i", str(tmp_path / "2.deb"))
    assert is_site_data_kept(installed)


def test_purge_removes_everything(installed: Path) -> None:
    dpkg(installed, "-P", "coldloop")
    remaining = [p for p in installed.rglob("*coldloop*") if "dpkg" not in p.parts]
    assert remaining == []


@pytest.mark.soak
def test_the_locked_package_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "deploy.debian.build", "--out")
    for name, zone in (("a", "UTC"), ("b", "Asia/Riyadh")):
        program_output(*command, str(tmp_path / name), TZ=zone)
    (first,), (second,) = (sorted((tmp_path / name).iterdir()) for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


def make_bare_root(folder: Path, packages: str = "python3", architecture: str = "") -> Path:
    """Make a Debian root with `packages` from the mirror of this machine.

    `architecture`: another one than this machine's; its packages are unpacked, not configured.
    """
    require_program("debootstrap")
    suite = "trixie"
    sources = program_output(
        "apt-get", "indextargets", "--format", "$(SITE) $(RELEASE) $(COMPONENT)"
    )
    rows = [line.split() for line in sources.splitlines()]
    mirrors = [row[0] for row in rows if row[1:] == [suite, "main"]]
    if os.geteuid() != 0 or not mirrors:
        pytest.skip(f"needs root, and a mirror of {suite}")
    root = folder / "root"
    folder.chmod(0o755)
    options = ["--variant=minbase", f"--include={packages}"]
    if architecture:
        options += ["--foreign", f"--arch={architecture}"]
    program_output("debootstrap", *options, suite, str(root), mirrors[0])
    return root


@pytest.mark.soak
def test_installed_into_a_bare_root_and_started_there(tmp_path: Path) -> None:
    root = make_bare_root(tmp_path)
    program_output(sys.executable, "-m", "deploy.debian.build", "--out", str(root / "tmp"))
    (name,) = (path.name for path in (root / "tmp").glob("*.deb"))
    inside = ("chroot", str(root), "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
    assert "write /etc/coldloop/unit.json" in program_output(*inside, "dpkg", "-i", f"/tmp/{name}")
    sample = json.loads((tree.FILES / "unit.json").read_text())
    sample["broker"] = {"address": "tcp:127.0.0.1:1"}
    (root / "etc/coldloop/unit.json").write_text(json.dumps(sample))
    for folder in ("run/coldloop", "var/lib/coldloop"):
        (root / folder).mkdir()
    sick = subprocess.run([*inside, "coldloop", "doctor"], capture_output=True, check=False)
    assert (sick.returncode, b"/dev/coldloop-field: no such port" in sick.stdout) == (1, True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(root / "run/notify"))
        systemd.settimeout(30)
        command = ("coldloop", "agent", "--config", "/etc/coldloop/unit.json")
        with subprocess.Popen([*inside, "NOTIFY_SOCKET=/run/notify", *command]) as agent:
            try:
                received = [systemd.recv(64) for _ in range(3)]
            finally:
                agent.terminate()
            assert received == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
            assert agent.wait(20) == 0
    assert (root / "run/coldloop/status.json").exists()
    (root / "var/lib/coldloop/log.1").write_text("telemetry")
    program_output(*inside, "dpkg", "-r", "coldloop")
    assert (root / "etc/coldloop/unit.json").exists()
    assert (root / "var/lib/coldloop/log.1").exists()
    program_output(*inside, "dpkg", "-P", "coldloop")
    assert not (root / "etc/coldloop").exists()


START = (
    "import sys; sys.path[:0] = [sys.argv[1], sys.argv[1].partition('/usr/')[0] + "
    "'/usr/lib/python3/dist-packages']; sys.argv[:2] = ['coldloop']; import coldloop; "
    "sys.exit(coldloop.main())"
)
"""As `python -m coldloop` of the launcher; the root is a folder, not `/`."""
EMULATORS = {"arm64": "qemu-aarch64", "armhf": "qemu-arm"}


@pytest.mark.soak
@pytest.mark.parametrize("architecture", sorted(EMULATORS))
def test_the_package_of_another_architecture_runs_under_qemu(
    architecture: str, tmp_path: Path
) -> None:
    """Its own python with the libraries of its Debian; nothing is installed on this machine."""
    emulator = require_program(EMULATORS[architecture])
    root = make_bare_root(tmp_path, "python3,python3-cffi-backend", architecture)
    for archive in sorted((root / "var/cache/apt/archives").glob("*.deb")):
        program_output("dpkg-deb", "-x", str(archive), str(root))
    command = (sys.executable, "-m", "deploy.debian.build", "--arch", architecture)
    program_output(*command, "--out", str(tmp_path / "deb"))
    (deb,) = (tmp_path / "deb").glob("*.deb")
    program_output("dpkg-deb", "-x", str(deb), str(root))
    packages = root / tree.HOME / f"lib/python{HERE}/site-packages"

    def run(*arguments: str) -> str:
        python = root / f"usr/bin/python{HERE}"
        return program_output(
            emulator,
            "-L",
            str(root),
            str(python),
            "-I",
            "-S",
            "-c",
            START,
            str(packages),
            *arguments,
        )

    start = run("doctor", "--help")
    assert "configuration" in start
    sample = str(tree.FILES / "unit.json")
    assert run("agent", "--config", sample, "--check") == f"{sample}: good\n"
    run("config", "keygen", "--no-passphrase", "--number", "1", str(tmp_path / "alice"))
    assert (tmp_path / "alice.json").is_file()
