"""The manual page coldloop(1), made from the front door's table, so that it cannot lag behind."""

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
are the probes of technicians, the bench that emulates every device, and the tools of operators.
.B coldloop
.I COMMAND
.B \-\-help
tells more, with an example.
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
certificates and keys, for root alone; tls/ca.pem is
/run/credentials/coldloop.service/tls_ca.pem to the agent
.TP
.I /etc/systemd/system/coldloop.service.d/site.conf
whom the agent may talk to
.TP
.I /etc/udev/rules.d/61\-coldloop\-ports.rules
names for the ports of this site
.TP
.I /var/lib/coldloop
log, confirmed configurations, audit; kept by upgrade and removal
.TP
.I /run/coldloop
the present status
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
    """Write the page; `day` is its date, YYYY-MM-DD."""
    rows = [
        f".TP\n.B {name}\n{text.replace('-', chr(92) + '-')}\n"
        for name, (_, text) in coldloop.COMMANDS.items()
    ]
    return _HEAD.format(version=version, day=day) + "".join(rows) + _TAIL
