"""The joining of a unit's log, and what is found wrong with it."""

from agent.remote.storage.audit import SEGMENTS, Audit, key_of
from deploy.ops.audit_reader import joined


def ring(count: int) -> tuple[dict[str, bytes], Audit]:
    log, records = Audit(), dict[str, bytes]()
    for i in range(count):
        op, key, payload = log.place(1_800_000_000 + i, [1], "x" * 60, i, "done")
        records[key] = records.get(key, b"") + payload if op == "append" else payload
        log.done()
    return records, log


def test_a_whole_log_has_no_fault() -> None:
    records, log = ring(1000)
    found = joined(reversed(list(records.values())), (1000, log.head.hex()))
    assert found.faults == []
    assert len(records) == SEGMENTS
    assert [entry["number"] for entry in found.entries][-1] == 1000
    assert found.entries[-1]["when"] == "2027-01-15T08:16:39Z"


def test_a_log_that_was_cut_short_is_seen() -> None:
    records, log = ring(30)
    shorter, older = ring(20)
    assert "cut short" in joined(shorter.values(), (30, log.head.hex())).faults[0]
    assert "another hash" in joined(records.values(), (30, older.head.hex())).faults[0]
    assert "cut short" in joined([], (1, log.head.hex())).faults[0]


def test_a_segment_taken_out_or_changed_is_seen() -> None:
    records, _ = ring(200)
    keys = [key_of(i) for i in range(4)]
    gone = [records[key] for key in keys if key != key_of(1)]
    assert "does not follow" in joined(gone).faults[0]
    changed = dict(records)
    changed[key_of(0)] = records[key_of(0)].replace(b"xxd", b"xyd", 1)
    assert changed[key_of(0)] == records[key_of(0)] or joined(changed.values()).faults
    bad = bytearray(records[key_of(0)])
    bad[60] ^= 1
    changed[key_of(0)] = bytes(bad)
    assert "does not follow" in joined(changed.values()).faults[0]


def test_an_entry_made_again_after_a_failure_is_one_entry() -> None:
    log = Audit()
    _, _, first = log.place(0, [], "a", 0, "")
    log.done()
    _, _, second = log.place(0, [], "b", 0, "")
    log.failed()
    op, key, again = log.place(0, [], "b", 0, "")
    assert (op, key) == ("write", key_of(1))
    log.done()
    found = joined([first + second, again], (2, log.head.hex()))
    assert ([entry["what"] for entry in found.entries], found.faults) == (["a", "b"], [])
