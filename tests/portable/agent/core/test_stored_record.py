# SPDX-License-Identifier: Apache-2.0
"""One record of a component: a store that fails loses no write and no read."""

from agent.core.stored_record import StoredRecord
from tests.portable.support.check import eq


def test_a_write_that_is_not_durable_is_repeated_when_the_store_opens_again():
    record = StoredRecord(7, "k")
    record.event("opened")
    record.receive(b"k")
    record.write(b"1")
    record.outbox()
    record.event("full")
    record.event("failed")
    eq((record.is_open, record.outbox()), (False, []))
    record.event("opened")
    eq(record.outbox(), [(7, "write", b"k\x001")])
    record.event("drained")
    record.event("failed")
    record.event("opened")
    eq(record.outbox(), [])
    record.write(b"2")
    record.event("drained")  # of another record: this one was not handed over
    record.outbox()
    record.event("failed")
    record.event("opened")
    record.write(b"3")
    eq(record.outbox(), [(7, "write", b"k\x003")])
    record.delete()
    record.outbox()
    record.event("failed")
    record.event("opened")
    eq(record.outbox(), [])


def test_a_read_without_an_answer_is_repeated():
    record = StoredRecord(7, "k")
    record.event("opened")
    eq(record.outbox(), [(7, "get", b"k")])
    record.event("failed")
    record.event("opened")
    eq(record.outbox(), [(7, "get", b"k")])
    eq((record.receive(b"k\x00"), record.is_settled), (b"", True))
    record.event("failed")
    record.event("opened")
    eq(record.outbox(), [])
