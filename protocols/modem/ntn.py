# SPDX-License-Identifier: Apache-2.0
"""AT commands of a 3GPP NTN modem (NB-IoT by satellite): registration, NIDD, UDP datagrams.

Does not drive the modem; see `drivers.modems.ntn`. Sources: 3GPP TS 27.007 (+CEREG 10.1.22, +CSQ
8.5, +CSODCP 10.1.43, +CRTDCP 10.1.44), the command set of pynbntnmodem. UDP as in Quectel's BG95
TCP/IP manual (+QIOPEN, +QISENDEX, +QIURC); other vendors have other commands.
"""

from binascii import hexlify, unhexlify

MAX_BYTES = 1_200
REGISTERED = (1, 5)
"""+CEREG states: registered at home, roaming."""


def parse_registration(line: bytes) -> "int | None":
    """Parse the state of +CEREG, of a response (n, state, …) or of a URC (state, …)."""
    if not line.startswith(b"+CEREG:"):
        return None
    fields = line[7:].split(b",")
    if len(fields) >= 2 and fields[1].strip().isdigit():
        return int(fields[1].strip())  # a response: the mode, then the state
    state = fields[0].strip()
    return int(state) if state.isdigit() else None


def parse_bars(line: bytes) -> "int | None":
    """Parse the rssi of +CSQ, 0 to 31 (99 unknown), as 0 to 5 bars."""
    if not line.startswith(b"+CSQ:"):
        return None
    rssi = line[5:].split(b",")[0].strip()
    if not rssi.isdigit():
        return None
    value = int(rssi)
    return 0 if value > 31 else min(5, (value + 5) // 6)


def build_nidd(content: bytes, context: int = 1) -> bytes:
    """Write a non-IP datagram (+CSODCP)."""
    return b'AT+CSODCP=%d,%d,"%s"\r' % (context, len(content), hexlify(content))


def build_udp(content: bytes, socket: int = 0) -> bytes:
    """Write a UDP datagram (+QISENDEX)."""
    return b'AT+QISENDEX=%d,"%s"\r' % (socket, hexlify(content))


def parse_received(line: bytes) -> "bytes | None":
    """Parse a datagram of +CRTDCP: cid, length, "hex" or +QIURC: "recv", socket, length, "hex"."""
    if line.startswith(b"+CRTDCP:"):
        length_index = 1
    elif line.startswith(b'+QIURC: "recv"'):
        length_index = 2
    else:
        return None
    fields = line.split(b",")
    if len(fields) != length_index + 2 or not fields[length_index].strip().isdigit():
        return None
    try:
        content = unhexlify(fields[length_index + 1].strip().strip(b'"'))
    except ValueError:
        return None
    return content if len(content) == int(fields[length_index].strip()) else None


_BANDS = {254: (1_610_000, 1_626_500), 255: (1_626_500, 1_660_500), 256: (1_980_000, 2_010_000)}
"""NTN bands: uplink in kHz (3GPP TS 36.102)."""


def parse_band(line: bytes) -> "tuple[int, int] | None":
    """Parse the band of +QNWINFO: the uplink in kHz; 0 and 0: not an NTN band; None: no network.

    Example: +QNWINFO: "NBIoT","90198","NB BAND 255",7697. Source: Quectel BG95 AT commands.
    """
    if b'"' not in line:
        return None  # "No Service"
    digits = line.split(b"BAND ")[-1].split(b'"')[0]
    return _BANDS.get(int(digits) if digits.isdigit() and len(digits) < 6 else 0, (0, 0))
