# SPDX-License-Identifier: Apache-2.0
"""The MQTT uplink over a satellite modem that carries IP. Loaded only with such a modem.

Does not control the modem; see `drivers.modems.ip`.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.component.base import Actions
    from agent.core.context import UplinkView


def notify_uplink(uplink: "UplinkView", service: bool, ready: bool, now: int) -> "Actions":
    """Open a new socket when the link is up, none while it is down: TCP would back off.

    A modem without replies says nothing about the link. MQTT then retries as without a modem.
    Returns the requests for the port of the uplink.
    """
    link = uplink.link
    out: Actions = []
    if link.is_open and not (service and uplink.connected):
        out.append((link.port, "close", b""))
        uplink.event("closed", now)
    if service or not ready:
        link.retry_now(now)
    else:
        link.suspend()
    return out
