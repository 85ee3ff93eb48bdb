# SPDX-License-Identifier: Apache-2.0
"""Manual page coldloop(1), made from the table of the command dispatcher."""

import coldloop

_HEAD = r""".TH COLDLOOP 1 "{day}" "coldloop {version}" "User Commands"
.SH NAME
coldloop \- agent on the controller of a coolant distribution unit
.SH SYNOPSIS
.B coldloop
.I COMMAND
.RI [ OPTION ]...
.SH DESCRIPTION
The agent keeps the supply temperature and the differential pressure of a liquid\-cooled row over
Modbus, on ticks that a satellite receiver aligns to UTC, and reports over MQTT. The other commands
are diagnostic commands for technicians, commands for operators, and the ground relay. The bench
(demo, bench, hil) needs the extra \(oqbench\(cq of the Python distribution.
.B coldloop
.I COMMAND
.B \-\-help
shows the options and an example.
.SH COMMANDS
"""
_TAIL = r""".SH EXIT STATUS
0 good, 1 judged bad, 2 wrong use.
.SH FILES
.TP
.I /etc/coldloop/unit.json
configuration of this unit; a sample is in /usr/share/doc/coldloop/examples
.TP
.I /etc/coldloop/tls
certificates and keys, readable by root only; the agent reads tls/ca.pem as
/run/credentials/coldloop.service/tls_ca.pem
.TP
.I /etc/systemd/system/coldloop.service.d/site.conf
networks that the agent can reach
.TP
.I /etc/udev/rules.d/61\-coldloop\-ports.rules
names for the ports of this site
.TP
.I /var/lib/coldloop
log, confirmed configurations, audit log; upgrade and removal keep them
.TP
.I /run/coldloop
status of the agent
.SH EXAMPLES
.nf
coldloop doctor
systemctl enable \-\-now coldloop
coldloop status
journalctl \-u coldloop \-f
.fi
.SH SEE ALSO
.BR systemctl (1),
.BR journalctl (1)
"""


def page(version: str, day: str) -> str:
    """Return the page; `day` is its date, YYYY-MM-DD."""
    rows = [
        f".TP\n.B {name}\n{text.replace('-', chr(92) + '-')}\n"
        for name, (_, text) in coldloop.COMMANDS.items()
    ]
    return _HEAD.format(version=version, day=day) + "".join(rows) + _TAIL
