# SPDX-License-Identifier: Apache-2.0
"""The period of rows: it gives rows without UTC their uptime, or a date within bounds."""

from pathlib import Path

import pytest

from deploy.relay.records.quarantine import now_ms
from tests.deploy.relay.relay_rig import (
    ALARM,
    START_MS,
    PipelineRig,
    block_of_run,
    pack,
    rows_record,
)
from tests.deploy.relay.test_pipeline import times_of


def undated(number: int, run: int, period_ms: int, first: int = 0) -> tuple[int, int, bytes]:
    """Return block `number` (from 0) of five rows; the run begins at uptime `first`."""
    uptime = first + 5 * period_ms * number
    record = 1 + number + 100 * run
    return rows_record(record, block_of_run(run, uptime, [None] * 5, 1 + 5 * number))


def uptimes(rig: PipelineRig, run: int) -> list[int]:
    rows = [rows for rows in rig.rows() if rows.run == run]
    return sorted(at for one in rows for at, _ in one.values)


def release(rig: PipelineRig) -> None:
    rig.pipeline._tidy(force=True)
    rig.settle()


@pytest.mark.parametrize("period", [20, 200, 1000, 60_000])
def test_the_blocks_of_a_run_tell_the_period(period: int) -> None:
    rig = PipelineRig(undated_wait_s=0.0)
    rig.send(pack(ALARM, *[undated(number, 7, period, 3) for number in (0, 1, 4)]))
    release(rig)
    places = [*range(10), *range(20, 25)]
    assert uptimes(rig, 7) == [3 + period * place for place in places]
    rig.close()


def test_a_run_of_one_block_has_the_period_of_the_unit(tmp_path: Path) -> None:
    rig = PipelineRig(tmp_path / "relay.db", undated_wait_s=0.0)
    rig.send(pack(ALARM, undated(0, 6, 200)))
    release(rig)
    assert uptimes(rig, 6) == [0, 1000, 2000, 3000, 4000], "nothing is known"
    rig.send(pack(undated(0, 7, 200), undated(1, 7, 200)))
    release(rig)
    rig.close()
    again = PipelineRig(tmp_path / "relay.db", undated_wait_s=0.0)
    again.send(pack(undated(0, 8, 200)))
    release(again)
    assert uptimes(again, 8) == [0, 200, 400, 600, 800]
    again.send(pack(undated(0, 9, 50), undated(1, 9, 50)))
    release(again)
    assert uptimes(again, 9) == [50 * place for place in range(10)], "the run counts first"
    again.close()


def test_two_workers_release_a_record_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both find the records whose wait is over; a store without a key would have them twice."""
    first, second = (PipelineRig(tmp_path / "relay.db", undated_wait_s=0.0) for _ in range(2))
    first.receive(pack(ALARM, undated(0, 7, 200), undated(1, 7, 200)))
    assert first.pipeline.prepare()
    found = second.pipeline.quarantine.due()
    assert len(found) == 2
    monkeypatch.setattr(second.pipeline.quarantine, "due", lambda: found)
    assert first.pipeline.preparer.release_due() == 2
    assert second.pipeline.preparer.release_due() == 0
    assert len(first.database.outbox()) == 2
    for rig in (first, second):
        rig.close()


def test_senseless_numbers_change_no_period() -> None:
    rig = PipelineRig(undated_wait_s=0.0)
    rig.send(pack(ALARM, undated(0, 7, 200), undated(1, 7, 200)))
    for number, (uptime, seq) in enumerate([(0, 90), (5, 91), (1 << 60, 92), (1 << 62, 1 << 60)]):
        rig.send(pack(rows_record(900 + number, block_of_run(8, uptime, [None] * 5, seq))))
    release(rig)
    assert uptimes(rig, 7) == [200 * place for place in range(10)]
    assert len(uptimes(rig, 8)) == 10
    assert rig.reasons() == ["block", "block"]
    rig.close()


def test_an_estimate_in_the_future_is_no_date() -> None:
    rig = PipelineRig()
    now = now_ms()
    rig.send(pack(ALARM, rows_record(1, block_of_run(5, 1000, [now - 5000, now - 4000]))))
    for number, uptime_ms in ((2, 400 * 86_400_000), (3, 1 << 52)):  # a wrong uptime
        rig.send(pack(rows_record(number, block_of_run(5, uptime_ms, [None, None], number * 10))))
    # a clock that is set from 2025 to now
    jump: list[int | None] = [START_MS, now - 1000, *[None] * 5]
    rig.send(pack(rows_record(4, block_of_run(6, 1000, jump, 40))))
    assert (len(rig.rows()), rig.reasons()) == (1, ["undated"] * 3)
    rig.close()


def test_a_jump_of_the_clock_is_no_period() -> None:
    rig = PipelineRig()
    hour = 3_600_000
    times: list[int | None] = [None, 1000, 2000, None, hour, hour + 1000, None, hour + 3000, None]
    times = [None if at is None else START_MS + at for at in times]
    rig.send(pack(ALARM, rows_record(1, block_of_run(7, 0, times))))
    expected = [0, 1000, 2000, 1_801_000, hour, *[hour + 1000 * at for at in range(1, 5)]]
    assert times_of(rig) == expected
    rig.close()
