# SPDX-License-Identifier: Apache-2.0
"""A port that must be open: requested, retried with back-off, reported."""

from agent.core.port_link import PortLink
from protocols.time_units import NEVER, SECOND
from tests.portable.support.check import eq

OPEN = [(7, "open", b"serial:/dev/x")]


def test_open_is_requested_once():
    link = PortLink(7, "bus", "serial:/dev/x")
    link.request_open()
    eq(link.outbox(), OPEN)
    eq(link.outbox(), [])
    link.event("opened", 5)
    assert link.is_open
    eq(link.wake_at, NEVER)


def test_retry_pause_doubles_up_to_30_s():
    link = PortLink(7, "bus", "serial:/dev/x")
    link.request_open()
    now, pauses = 0, []
    for _ in range(8):
        link.outbox()
        link.event("failed", now)
        pauses.append((link.wake_at - now) // SECOND)
        now = link.wake_at
        link.wake(now)
        eq(link.outbox(), OPEN)
    eq(pauses, [1, 2, 4, 8, 16, 30, 30, 30])


def test_open_port_resets_the_pause():
    link = PortLink(7, "bus", "serial:/dev/x")
    for _ in range(4):
        link.event("failed", 0)
    link.event("opened", 0)
    link.event("closed", 0)
    eq(link.wake_at, SECOND)
    assert not link.is_open


def test_pause_is_kept_until_handshake():
    link = PortLink(7, "broker", "tcp:x:1", needs_handshake=True)
    pauses = []
    for _ in range(4):
        link.event("opened", 0)
        link.close(0)
        pauses.append(link.wake_at // SECOND)
    eq(pauses, [1, 2, 4, 8])
    link.event("opened", 0)
    link.confirm_handshake()
    link.close(0)
    eq(link.wake_at, SECOND)


def test_wakes_only_when_due():
    link = PortLink(7, "bus", "serial:/dev/x")
    link.event("failed", 0)
    link.wake(SECOND - 1)
    eq(link.outbox(), [])
    link.wake(SECOND)
    eq(link.outbox(), OPEN)
    eq(link.wake_at, NEVER)


def test_a_store_that_fails_after_it_opens_keeps_its_pause():
    link = PortLink(7, "log", "store:/var/lib/log")
    link.event("opened", 0)
    eq((link.is_sound, link.wake_at), (True, NEVER))
    now, pauses = 0, []
    for _ in range(7):
        link.event("full", now)
        link.event("failed", now)
        assert not link.is_sound
        pauses.append((link.wake_at - now) // SECOND)
        now = link.wake_at
        link.wake(now)
        link.event("opened", now)
        eq((link.is_open, link.is_sound), (True, False))
    eq(pauses, [1, 2, 4, 8, 16, 30, 30])


def test_a_store_that_could_not_open_has_no_trial():
    link = PortLink(7, "log", "store:/var/lib/log")
    for _ in range(3):
        link.event("failed", 0)
    link.event("opened", SECOND)
    eq((link.is_sound, link.wake_at), (True, NEVER))


def test_a_store_is_sound_after_its_trial():
    link = PortLink(7, "log", "store:/var/lib/log")
    link.event("opened", 0)
    for _ in range(3):
        link.event("failed", 0)
    link.outbox()
    link.event("opened", SECOND)
    eq(link.wake_at, 16 * SECOND)
    link.wake(16 * SECOND - 1)
    assert not link.is_sound
    link.wake(16 * SECOND)
    eq((link.is_sound, link.wake_at, link.outbox()), (True, NEVER, []))
    link.event("failed", 20 * SECOND)
    eq(link.wake_at, 21 * SECOND)


def test_other_ports_are_sound_as_soon_as_they_open():
    link = PortLink(7, "bus", "serial:/dev/x")
    for _ in range(4):
        link.event("failed", 0)
    link.event("opened", 0)
    eq((link.is_sound, link.wake_at), (True, NEVER))
