# SPDX-License-Identifier: Apache-2.0
"""Receipts that are forged, replayed or of another unit."""

from protocols.signing.hmac_sha256 import hmac
from protocols.telemetry import receipt
from protocols.telemetry.message import BULK
from tests.portable.support.check import eq
from tests.portable.support.flash import UNIT_PATH, GroundModel, LogFlash, LogUnit


def send_one_record(key=b""):
    unit, ground = LogUnit(LogFlash(), key=key), GroundModel(key)
    unit.run_until_idle()
    for i in range(3):
        unit.append(BULK, b"%d" % i)
    unit.run_until_idle()
    return unit, ground.receive(unit.sender.next(1000)[1])


def test_forged_receipts_change_nothing():
    key = b"k" * 16
    unit, good = send_one_record(key)
    for bit in range(0, 8 * len(good), 5):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        unit.sender.on_receipt(bytes(bad), unit.now)
    genuine = receipt.Receipt(unit.record_store.generation, 0, [(BULK, 1, 3)])
    for forged in (
        b"",
        b"\xa1",
        receipt.build_receipt(genuine, UNIT_PATH, b""),
        receipt.build_receipt(genuine, UNIT_PATH, b"x" * 16),
        receipt.build_receipt(genuine, "s1/u2", key),
    ):
        unit.sender.on_receipt(forged, unit.now)
    eq(unit.record_store.class_indexes[BULK].unacked_count(), 3)
    assert unit.sender.forged_receipts > 20
    unit.sender.on_receipt(good, unit.now)
    eq(unit.record_store.class_indexes[BULK].unacked_count(), 0)


def test_replayed_and_foreign_receipts_change_nothing():
    unit, good = send_one_record()
    unit.sender.on_receipt(good, unit.now)
    unit.sender.on_receipt(good, unit.now)
    eq(
        (unit.sender.redundant_receipts, unit.record_store.class_indexes[BULK].unacked_count()),
        (1, 0),
    )
    unit.append(BULK, b"4")
    unit.run_until_idle()
    unit.sender.on_receipt(good, unit.now)
    eq(
        (unit.sender.redundant_receipts, unit.record_store.class_indexes[BULK].unacked_count()),
        (2, 1),
    )
    generation = unit.record_store.generation
    other = bytes([generation[0] ^ 1]) + generation[1:]
    for genuine in (
        receipt.Receipt(other, 0, [(BULK, 4, 4)]),
        receipt.Receipt(generation, 0, [(BULK, 4, 4)]),  # not sent yet
        receipt.Receipt(generation, 0, [(BULK, 4, 1 << 40)]),
    ):
        unit.sender.on_receipt(receipt.build_receipt(genuine, UNIT_PATH, b""), unit.now)
    eq((unit.sender.foreign_receipts, unit.sender.unsent_receipts), (1, 2))
    eq(unit.record_store.class_indexes[BULK].unacked_count(), 1)


def test_hmac_matches_rfc_vectors():
    # RFC 4231, test cases 2 and 6
    want = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    eq(hmac(b"Jefe", b"what do ya want for nothing?"), bytes.fromhex(want))
    want = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
    text = b"Test Using Larger Than Block-Size Key - Hash Key First"
    eq(hmac(b"\xaa" * 131, text), bytes.fromhex(want))
