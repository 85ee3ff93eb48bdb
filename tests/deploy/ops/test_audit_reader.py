# SPDX-License-Identifier: Apache-2.0
"""Audit reader: joined segments and the faults of the hash chain."""

from agent.remote.storage.audit import SEGMENTS, AuditLog, key_of
from deploy.ops.audit_reader import join_segments


def ring(count: int) -> tuple[dict[str, bytes], AuditLog]:
    log, records = AuditLog(), dict[str, bytes]()
    for i in range(count):
        op, key, payload = log.prepare(1_800_000_000 + i, [1], "x" * 60, i, "done")
        records[key] = records.get(key, b"") + payload if op == "append" else payload
        log.commit()
    return records, log


def test_a_complete_log_has_no_faults() -> None:
    records, log = ring(1000)
    result = join_segments(reversed(list(records.values())), (1000, log.head.hex()))
    assert result.faults == []
    assert len(records) == SEGMENTS
    assert [entry["number"] for entry in result.entries][-1] == 1000
    assert result.entries[-1]["when"] == "2027-01-15T08:16:39Z"


def test_a_truncated_log_is_detected() -> None:
    records, log = ring(30)
    shorter, older = ring(20)
    assert "truncated" in join_segments(shorter.values(), (30, log.head.hex())).faults[0]
    assert "another hash" in join_segments(records.values(), (30, older.head.hex())).faults[0]
    assert "truncated" in join_segments([], (1, log.head.hex())).faults[0]


def test_a_removed_or_changed_segment_is_detected() -> None:
    records, _ = ring(200)
    keys = [key_of(i) for i in range(4)]
    removed = [records[key] for key in keys if key != key_of(1)]
    assert "does not follow" in join_segments(removed).faults[0]
    changed = dict(records)
    changed[key_of(0)] = records[key_of(0)].replace(b"xxd", b"xyd", 1)
    assert changed[key_of(0)] == records[key_of(0)] or join_segments(changed.values()).faults
    bad = bytearray(records[key_of(0)])
    bad[60] ^= 1
    changed[key_of(0)] = bytes(bad)
    assert "does not follow" in join_segments(changed.values()).faults[0]


def test_a_repeated_append_is_one_entry() -> None:
    log = AuditLog()
    _, _, first = log.prepare(0, [], "a", 0, "")
    log.commit()
    _, _, second = log.prepare(0, [], "b", 0, "")
    log.abort()
    op, key, again = log.prepare(0, [], "b", 0, "")
    assert (op, key) == ("write", key_of(1))
    log.commit()
    result = join_segments([first + second, again], (2, log.head.hex()))
    assert ([entry["what"] for entry in result.entries], result.faults) == (["a", "b"], [])
