# SPDX-License-Identifier: Apache-2.0
"""Signed reports of a unit: key, signature in slices, hash of the published configuration."""

import hashlib

from agent.port_numbers import BROKER
from agent.remote.storage.unit_key import UNIT_KEY, read_unit_key, unit_key_write
from protocols.signing import report
from protocols.signing.ed25519 import verify
from protocols.signing.ed25519_sign import Signature
from tests.portable.support.check import eq
from tests.portable.support.remote_rig import (
    COUNTER,
    SETPOINT,
    TARGET,
    RemoteRig,
    RemoteStore,
    key,
    make_patch,
)

HEAP = "512wK"
SEED = bytes(31) + b"\x07"


class ReportRig(RemoteRig):
    """A unit whose retained messages are kept by topic."""

    def __init__(self, store=None, **options):
        self.published = {}
        RemoteRig.__init__(self, store=store, **options)

    def perform(self, port, op, data):
        if port == BROKER and op == "write":
            for name in ("cfg/reported", "cfg/config"):
                topic = report_topic(name)
                place = data.find(topic)
                if place >= 0:
                    self.published[name] = _payload(data, place, topic)
        RemoteRig.perform(self, port, op, data)


def report_topic(name):
    return b"coldloop/v1/" + TARGET.encode() + b"/" + name.encode()


def _payload(data, place, topic):
    """Return the payload of the PUBLISH packet (QoS 1) whose topic is at `place`."""
    size, shift, i = 0, 0, 1
    while True:
        size |= (data[i] & 127) << shift
        shift += 7
        i += 1
        if not data[i - 1] & 128:
            break
    return data[place + len(topic) + 2 : i + size]


def keyed_store():
    store = RemoteStore()
    name, record = unit_key_write(SEED, key(7).public)
    store.records[name] = record
    return store


def test_a_report_is_signed_for_its_unit_and_vouches_for_the_configuration():
    rig = ReportRig(keyed_store())
    rig.run(6)
    text, signature = report.split(rig.published["cfg/reported"])
    public = key(7).public
    assert verify(public, report.signing_input(TARGET, text), signature)
    assert not verify(public, report.signing_input("s1/u2", text), signature)
    assert not verify(public, text, signature)
    found = hashlib.sha256(rig.published["cfg/config"]).digest().hex()
    assert ('"config":"%s"' % found).encode() in text, text
    rig.send(make_patch(rig, [(SETPOINT, 33)]))
    rig.run(2)
    text, signature = report.split(rig.published["cfg/reported"])
    assert ('"trial":%d' % COUNTER).encode() in text, text
    assert verify(public, report.signing_input(TARGET, text), signature)
    found = hashlib.sha256(rig.published["cfg/config"]).digest().hex()
    assert ('"config":"%s"' % found).encode() in text, text


def test_without_a_key_or_with_a_damaged_one_the_report_has_no_signature():
    damaged = keyed_store()
    damaged.records[UNIT_KEY] = damaged.records[UNIT_KEY][:-1] + b"\0"
    eq(read_unit_key(damaged.read), None)
    for store in (RemoteStore(), damaged):
        rig = ReportRig(store)
        rig.run(6)
        eq(report.split(rig.published["cfg/reported"])[1], b"")


def test_the_seed_never_leaves_the_unit():
    rig = ReportRig(keyed_store())
    rig.run(6)
    for payload in rig.published.values():
        assert SEED.hex().encode() not in payload
        assert SEED not in payload


def test_a_report_is_split_only_at_a_whole_signature():
    text, signature = b'{"version":1}', bytes(range(64))
    payload = report.join(text, signature)
    eq(report.split(payload), (text, signature))
    for broken in (
        text,
        b"",
        payload[:-1],
        payload[:-2] + b'"]',
        payload.replace(b"signature", b"signaturE"),
        payload[:-4] + b'zz"}',
        payload + b" ",
    ):
        eq(report.split(broken), (broken, b""))


def test_the_work_is_done_in_slices():
    signature = Signature(SEED, key(7).public, bytes(1000))
    steps = 0
    while not signature.step():
        steps += 1
    assert steps > 30, steps
    assert verify(key(7).public, bytes(1000), signature.value)
