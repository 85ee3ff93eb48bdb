# SPDX-License-Identifier: Apache-2.0
"""Program that snmpd starts (pass_persist): carries its lines to the SNMP process and back.

Knows no lines; see `responder`. It imports two built-in modules only, so it needs 6 MiB less than a
program that answers itself. It ends when one side closes; snmpd starts it again when it needs it.

    python -I -S relay.py FOLDER        FOLDER has the socket
"""

import _socket
import os
import select
import sys

SOCKET = "values.sock"
_MOST = 65_536


def main(folder: str) -> int:
    """Carry bytes until one side closes. Returns 1: there is no SNMP process."""
    server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        os.chdir(folder)  # a path of a socket has at most 107 bytes
        server.connect(SOCKET)
    except OSError:
        return 1
    ends = {0: server.fileno(), server.fileno(): 1}
    try:
        while True:
            for source in select.select(list(ends), [], [])[0]:
                data = os.read(source, _MOST)
                if not data:
                    return 0
                while data:
                    data = data[os.write(ends[source], data) :]
    except OSError:
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
