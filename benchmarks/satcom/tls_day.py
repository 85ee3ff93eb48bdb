# SPDX-License-Identifier: Apache-2.0
"""TLS handshakes and a day of windows: parts of `satlink`.

The handshakes are real ones, in memory. The MQTT packets of the day are those of our client and the
emulated broker. The model of TCP and IP: 40 bytes a packet of at most 1,360 bytes of payload, an
acknowledgement for each second packet, three packets to open.
"""

import datetime as dt
import ssl
import tempfile
from pathlib import Path
from typing import Any

from hil.devices.mqtt.broker import Broker
from protocols.mqtt.client import MqttClient

Rows = list[list[str]]
WINDOWS = 82
PAYLOAD = 864_000
"""Bytes of a day of 40 signals at 1 Hz, two bits a value."""
_MSS, _PACKET = 1_360, 40
_PSK = "set_psk_"


def _certificates(folder: Path) -> None:
    """Write an authority, a server and a client, on P-256."""
    from cryptography import x509  # noqa: PLC0415 - an oracle, only for this figure
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    def name(text: str) -> Any:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    end = start + dt.timedelta(days=3650)
    authority = ec.generate_private_key(ec.SECP256R1())
    for role in ("ca", "server", "client"):
        key = authority if role == "ca" else ec.generate_private_key(ec.SECP256R1())
        builder = x509.CertificateBuilder().subject_name(name(role)).issuer_name(name("ca"))
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(start).not_valid_after(end)
        builder = builder.add_extension(x509.BasicConstraints(role == "ca", None), True)
        certificate = builder.sign(authority, hashes.SHA256())
        pem = serialization.Encoding.PEM
        (folder / f"{role}.pem").write_bytes(certificate.public_bytes(pem))
        (folder / f"{role}.key").write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )


def _contexts(folder: Path, version: Any, psk: bool) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client.check_hostname = False
    for context in (client, server):
        context.minimum_version = context.maximum_version = version
        if psk:
            context.verify_mode = ssl.CERT_NONE
            context.set_ciphers("PSK-AES128-GCM-SHA256")
            context.options |= ssl.OP_NO_TICKET
        else:
            context.load_verify_locations(folder / "ca.pem")
            context.verify_mode = ssl.CERT_REQUIRED
    if psk:  # Python 3.13 and newer
        getattr(client, _PSK + "client_callback")(lambda _: ("cdu1", bytes(32)))
        getattr(server, _PSK + "server_callback")(lambda _: bytes(32))
    else:
        client.load_cert_chain(folder / "client.pem", folder / "client.key")
        server.load_cert_chain(folder / "server.pem", folder / "server.key")
    return client, server


def handshake(
    client: ssl.SSLContext, server: ssl.SSLContext, session: ssl.SSLSession | None
) -> tuple[int, int, ssl.SSLSession | None]:
    """Do a handshake in memory; return bytes up, bytes down, the session to resume."""
    to_server, to_client, up, down = (ssl.MemoryBIO() for _ in range(4))
    actual = client.wrap_bio(to_client, up, session=session)
    reference = server.wrap_bio(to_server, down, server_side=True)
    sent = [0, 0]
    completed = [False, False]
    for _ in range(12):
        for i, side in enumerate((actual, reference)):
            try:
                if not completed[i]:
                    side.do_handshake()
                    completed[i] = True
                else:
                    side.read(1)
            except ssl.SSLWantReadError:
                pass
        for i, (source, target) in enumerate(((up, to_server), (down, to_client))):
            data = source.read()
            sent[i] += len(data)
            target.write(data)
    assert all(completed)
    return sent[0], sent[1], actual.session


def tls_forms() -> dict[str, tuple[int, int]]:
    """Measure each form: bytes up and down."""
    forms: dict[str, tuple[int, int]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _certificates(folder)
        for text, version in (("1.3", ssl.TLSVersion.TLSv1_3), ("1.2", ssl.TLSVersion.TLSv1_2)):
            client, server = _contexts(folder, version, False)
            up, down, session = handshake(client, server, None)
            forms[f"TLS {text}, certificates"] = up, down
            up, down, _ = handshake(client, server, session)
            forms[f"TLS {text}, resumed"] = up, down
        if hasattr(ssl.SSLContext, "set_psk_client_callback"):
            client, server = _contexts(folder, ssl.TLSVersion.TLSv1_2, True)
            up, down, _ = handshake(client, server, None)
            forms["TLS 1.2, PSK"] = up, down
    return forms


def tls_rows() -> tuple[Rows, dict[str, Any]]:
    """Return the rows of the handshakes."""
    forms = tls_forms()
    rows = [
        [f"{name} handshake", f"{up} + {down} B", "up + down"] for name, (up, down) in forms.items()
    ]
    return rows, {name: {"up": up, "down": down} for name, (up, down) in forms.items()}


def _packets(sizes: list[int]) -> tuple[int, int]:
    """Return IP bytes and packets of one direction."""
    packets = sum(-(-size // _MSS) for size in sizes)
    return sum(sizes) + packets * _PACKET, packets


def _window(content: int, connect: bool) -> tuple[list[int], list[int]]:
    """Transfer the content of one window with our client; return the sizes up and down."""
    client, broker = MqttClient("bench-cdu1", clean_session=False, max_packet=65_536), Broker()
    up: list[int] = []
    down: list[int] = []
    client.connection_opened(0)
    broker.opened(1, 0)
    offered = 0
    for step in range(40):
        while offered < content and client.publish(
            "coldloop/v1/bench/cdu1/b", bytes(min(6_000, content - offered)), 1
        ):
            offered += 6_000
        sent = b"".join(client.take_output())
        if sent:
            up.append(len(sent))
        answers = [data for _, _, data in broker.receive(1, sent, step) if data] if sent else []
        if answers:
            down.append(len(b"".join(answers)))
            client.receive(b"".join(answers), step)
        client.take_events()
    if not connect:
        up, down = up[1:], down[1:]
    return up, down


def day(form: tuple[int, int] | None, record: int, connect: bool) -> float:
    """Return IP bytes of a day per payload byte, with a handshake of `form` a window."""
    up, down = _window(PAYLOAD // WINDOWS, connect)
    up, down = [size + record for size in up], [size + record for size in down]
    total = 0
    if connect:
        total += 3 * (_PACKET + 12)
        if form is not None:
            up, down = [form[0], *up], [form[1], *down]
    else:
        total += _MSS + _PACKET  # data in flight at the end of the window are sent again
    sent, up_packets = _packets(up)
    got, down_packets = _packets(down)
    acks = -(-up_packets // 2) + -(-down_packets // 2)
    return (total + sent + got + acks * _PACKET) * WINDOWS / PAYLOAD


def day_rows() -> tuple[Rows, dict[str, Any]]:
    """Return the rows of the day with each form."""
    forms = tls_forms()
    ratios = {"session kept over windows (TLS 1.3)": day(None, 22, False)}
    ratios["no TLS, new connection each window"] = day(None, 0, True)
    for name, form in forms.items():
        ratios[f"{name}, each window"] = day(form, 22 if "1.3" in name else 29, True)
    rows = [
        [f"82 windows: {name}", f"{ratio:.3f}", "IP bytes / payload of 864 kB"]
        for name, ratio in ratios.items()
    ]
    return rows, {name: round(ratio, 4) for name, ratio in ratios.items()}
