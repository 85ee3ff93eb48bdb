# SPDX-License-Identifier: Apache-2.0
"""Subscriptions (COV): limits, lifetime, notifications (ANSI/ASHRAE 135, clause 13.1).

A subscription has a number and a lifetime; one without an end is refused. A fault in one of them
reaches neither the object nor the other subscriptions: it is counted, see `update_faults`.

Does not know values; see `point_objects` and `alarm_objects`.
"""

import asyncio
from typing import Any

from bacpypes3.apdu import SubscribeCOVRequest
from bacpypes3.app import Application
from bacpypes3.errors import ExecutionError
from bacpypes3.local.cov import COVIncrementCriteria, GenericCriteria, monitor_filter

from deploy.northbound.bacnet.clients import BacnetPeer, PermittedClients, peer_of, sender_of
from deploy.northbound.bacnet.update_faults import UpdateFaults

MAX_SUBSCRIPTIONS = 192
"""COV subscriptions of all clients; the last `MAX_OF_CLIENT` are for permitted clients."""
MAX_OF_CLIENT = 64
"""COV subscriptions of one IP address, whatever its ports and the clients behind a router there."""
MAX_LIFETIME_S = 8 * 3600


class EachSubscription:
    """Sends the notifications of an object one by one, so that each can fail alone."""

    obj: Any
    cov_subscriptions: list[Any]

    def send_cov_notifications(self, subscription: Any = None) -> None:
        """Send to one subscription, or to all of the object."""
        wanted = [subscription] if subscription is not None else list(self.cov_subscriptions)
        for cov in wanted:
            try:
                super().send_cov_notifications(cov)  # type: ignore[misc]
            except Exception as error:  # noqa: BLE001 - any fault of the library
                part = f"notification of {self.obj.objectIdentifier}"
                self.obj._app.faults.report(part, error)  # noqa: SLF001 - as bacpypes3 does


class ChangeCriteria(EachSubscription, GenericCriteria):
    """Any change: binary, multi-state and integer objects (table 13-1)."""


class IncrementCriteria(EachSubscription, COVIncrementCriteria):
    """A change by COV_Increment: analog objects. Without an increment: any change."""

    @monitor_filter("presentValue")  # type: ignore[untyped-decorator]
    def present_value_filter(self, old_value: Any, new_value: Any) -> bool:
        """Return whether a change of Present_Value is reported."""
        if self.obj.covIncrement is None:
            return bool(old_value != new_value)
        return bool(super().present_value_filter(old_value, new_value))


class SubscriptionTimer:
    """The timer of a subscription whose rest is at least 1 s, also if the timer is late.

    bacpypes3 cannot encode a negative rest: one such subscription would keep the notification from
    all others of its object.
    """

    def __init__(self, timer: asyncio.TimerHandle) -> None:
        self._timer = timer

    def when(self) -> float:
        """Return the end of the subscription, s of the event loop."""
        return max(self._timer.when(), asyncio.get_running_loop().time() + 1)

    def cancel(self) -> None:
        """Stop the timer."""
        self._timer.cancel()


class SubscriptionServices(Application):
    """The application with the service SubscribeCOV; `BacnetDevice` adds the others."""

    permitted: PermittedClients
    unanswered: dict[Any, bool]
    faults: UpdateFaults

    def cov_notification(self, cov: Any, apdu: Any) -> None:
        """Send a change. A subscription has one unanswered notification at most.

        Changes in the meantime are one more notification, with the newest value.
        """
        if cov.confirmed:
            if cov in self.unanswered:
                self.unanswered[cov] = True
                return
            self.unanswered[cov] = False
        super().cov_notification(cov, apdu)

    def cov_confirmation(self, cov: Any, future: Any) -> None:
        """Ignore the answer of a subscriber; bacpypes3 raises what it has not answered."""
        ignore_result(future)
        has_changed = self.unanswered.pop(cov, False)
        detection = self._cov_detections.get(cov.obj_id)
        if has_changed and detection is not None and cov in detection.cov_subscriptions:
            detection.send_cov_notifications(cov)

    async def do_SubscribeCOVRequest(self, apdu: SubscribeCOVRequest) -> None:  # noqa: N802
        """Accept a subscription within the limits. One without an end is refused."""
        if apdu.issueConfirmedNotifications is not None or apdu.lifetime is not None:
            if not 0 < int(apdu.lifetime or 0) <= MAX_LIFETIME_S:
                raise ExecutionError("services", "valueOutOfRange")
            known = self._subscription(apdu)
            if known is None and not self._has_room(peer_of(apdu)):
                raise ExecutionError("resources", "noSpaceToAddListElement")
            if known is not None:  # bacpypes3 renews the lifetime only
                known.confirmed = bool(apdu.issueConfirmedNotifications)
            self._watch(apdu.monitoredObjectIdentifier)
        await super().do_SubscribeCOVRequest(apdu)
        for cov in self._held():
            if isinstance(cov.cancel_handle, asyncio.TimerHandle):
                cov.cancel_handle = SubscriptionTimer(cov.cancel_handle)

    def _watch(self, identifier: Any) -> None:
        """Make the detection of an object; one that fails leaves nothing behind in the object.

        Raises ExecutionError: the object cannot be subscribed.
        """
        target = self.get_object_id(identifier)
        criteria = getattr(target, "_cov_criteria", None)
        if criteria is None or identifier in self._cov_detections:
            return  # bacpypes3 answers
        monitors = target._property_monitors  # noqa: SLF001 - the library has no other way
        before = {name: list(entries) for name, entries in monitors.items()}
        try:
            self._cov_detections[identifier] = criteria(target)
        except Exception as error:  # noqa: BLE001 - any fault of the library
            monitors.clear()
            monitors.update(before)
            self.faults.report(f"subscription of {identifier}", error)
            raise ExecutionError("services", "covSubscriptionFailed") from None

    def subscriptions(self) -> int:
        """Return the number of subscriptions."""
        return len(self._held())

    def _held(self) -> list[Any]:
        return [
            cov
            for cov_detection in self._cov_detections.values()
            for cov in cov_detection.cov_subscriptions
        ]

    def _has_room(self, peer: BacnetPeer) -> bool:
        """Return whether a client can have one more subscription.

        One that has ended keeps its place until its last notification has an answer, or none after
        all retries: bacpypes3 searches without end for a free invoke id if a client has all 256.
        """
        used = {*self._held(), *self.unanswered}
        most = MAX_SUBSCRIPTIONS - (0 if self.permitted.has(peer) else MAX_OF_CLIENT)
        own = sum(sender_of(c.client_addr) == peer.host for c in used)
        return len(used) < most and own < MAX_OF_CLIENT

    def _subscription(self, apdu: SubscribeCOVRequest) -> Any:
        """Return the subscription that a request renews; None: it is a new one."""
        detection = self._cov_detections.get(apdu.monitoredObjectIdentifier)
        wanted = (apdu.pduSource, apdu.subscriberProcessIdentifier)
        held = detection.cov_subscriptions if detection else ()
        return next((cov for cov in held if (cov.client_addr, cov.proc_id) == wanted), None)


def ignore_result(future: Any) -> None:
    """Take an exception out of a future, so that it is not reported as lost."""
    if not future.cancelled():
        future.exception()
