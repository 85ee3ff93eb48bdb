# SPDX-License-Identifier: Apache-2.0
"""Configuration files of chronyd and ptp4l for a unit that serves time.

Does not start them. The text depends only on `ServerSettings`.

chronyd reads the samples of the agent (`refclock SOCK`). A sample has no error bound, so `delay`
states it: chronyd adds half of it to its root distance. The agent sends a sample only if its bound
is at most `chrony.bound_ms`. `delay` is twice that, so that clients never see less than the bound.
`maxclockerror` is the drift of the oscillator: without samples the distance grows by it.

ptp4l takes software timestamps of the system clock, which has UTC. Its timescale is then ARB
(`ptpTimescale 0`): with the PTP timescale a client would subtract 37 s from UTC. With hardware
timestamps phc2sys keeps the clock of the interface at TAI, and the timescale is PTP.
"""

import ipaddress
import ssl
from dataclasses import dataclass

from agent.core.errors import ConfigError
from agent.tools.clock.site_time import Statement
from drivers.ports.cpython.certificate_files import load_certificate

_TIME_SOURCE_GNSS = 0x20


@dataclass(frozen=True)
class ServerSettings:
    """Settings of the servers.

    `socket`, `bound_ms`: those of the section `chrony`. `drift_ppm`: of the oscillator.
    `clients`: networks that may ask. `certificate`, `key`: files for NTS, or empty. `interface`:
    the one of PTP, or empty. `hardware_timestamps`: it has them. `run_folder`: for the sockets of
    ptp4l.
    """

    socket: str
    bound_ms: int
    drift_ppm: float
    clients: tuple[str, ...]
    certificate: str = ""
    key: str = ""
    interface: str = ""
    hardware_timestamps: bool = False
    run_folder: str = "/run/coldloop-time"

    def check(self) -> None:
        """Raise `ConfigError` for a setting that the files cannot have."""
        try:
            for network in self.clients:
                ipaddress.ip_network(network)
        except ValueError as error:
            raise ConfigError(f"--allow: {error}") from None
        if bool(self.certificate) != bool(self.key):
            raise ConfigError("NTS needs both --nts-cert and --nts-key")
        if self.certificate:
            check_certificate(self.certificate, self.key)
        texts = (self.socket, self.certificate, self.key, self.interface, self.run_folder)
        if any(char.isspace() for text in texts for char in text):
            raise ConfigError("a path or an interface has a blank")


def check_certificate(certificate: str, key: str) -> None:
    """Raise `ConfigError` if the files are missing, or if the key is not that of the certificate.

    chronyd itself starts without NTS then, and only its log says so.
    """
    try:
        load_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate, key)
    except OSError as error:
        raise ConfigError(f"--nts-cert, --nts-key: {error}") from None


def chrony_text(settings: ServerSettings) -> str:
    """Return the file for /etc/chrony/conf.d."""
    delay = f"delay {settings.bound_ms / 500:g}"
    lines = [
        "# Written by coldloop clock serve. Do not edit.",
        f"refclock SOCK {settings.socket} refid BDS {delay} poll 0 filter 2 prefer",
        f"maxclockerror {settings.drift_ppm:g}",
        *[f"allow {network}" for network in settings.clients],
        "ratelimit interval -3 burst 16",
    ]
    if settings.certificate:
        lines += [f"ntsservercert {settings.certificate}", f"ntsserverkey {settings.key}"]
    return "\n".join(lines) + "\n"


def client_text(host: str, settings: ServerSettings) -> str:
    """Return the lines for chronyd of a client: polls of 0.5 s leave a silent server after 4 s.

    With NTS the host is the name in the certificate. The client needs the certificate of the CA.
    """
    if not settings.certificate:
        return f"server {host} iburst minpoll -1 maxpoll -1\n"
    return (
        f"server {host} nts iburst minpoll -1 maxpoll -1\n"
        "# ntstrustedcerts FILE: the CA of the site, if the system does not know it\n"
        "# nocerttimecheck 1: only for a client without a clock of its own at the start\n"
    )


def ptp_text(settings: ServerSettings, priority2: int = 128) -> str:
    """Return the file for ptp4l. It starts with class 248: the supervisor states a better one."""
    stamps = "hardware" if settings.hardware_timestamps else "software"
    lines = [
        "# Written by coldloop clock serve. Do not edit.",
        "[global]",
        "serverOnly 1",
        f"priority2 {priority2}",
        "clockClass 248",
        "clockAccuracy 0xFE",
        f"time_stamping {stamps}",
        "logAnnounceInterval 0",
        "logSyncInterval -3",
        "network_transport UDPv4",
        f"uds_address {settings.run_folder}/ptp4l.sock",
        f"uds_ro_address {settings.run_folder}/ptp4l-ro.sock",
        f"[{settings.interface}]",
    ]
    return "\n".join(lines) + "\n"


def grandmaster_command(statement: Statement, hardware_timestamps: bool) -> str:
    """Return the command of pmc that states class, accuracy and time scale."""
    traceable = int(statement.traceable)
    fields = (
        ("clockClass", statement.clock_class),
        ("clockAccuracy", f"0x{statement.accuracy:02X}"),
        ("offsetScaledLogVariance", "0xFFFF"),
        ("currentUtcOffset", statement.utc_offset_s),
        ("leap61", 0),
        ("leap59", 0),
        ("currentUtcOffsetValid", int(hardware_timestamps and statement.may_serve)),
        ("ptpTimescale", int(hardware_timestamps)),
        ("timeTraceable", traceable),
        ("frequencyTraceable", traceable),
        ("timeSource", f"0x{_TIME_SOURCE_GNSS:02X}"),
    )
    return "SET GRANDMASTER_SETTINGS_NP " + " ".join(f"{name} {value}" for name, value in fields)
