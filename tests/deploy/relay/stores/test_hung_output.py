# SPDX-License-Identifier: Apache-2.0
"""An output that does not return: it shows in the metrics, and a stop does not wait for it."""

import threading
import time
from pathlib import Path

import pytest

from deploy.relay import delivery
from deploy.relay.decode.row_format import Item
from deploy.relay.pipeline import MAX_AHEAD
from tests.deploy.relay.relay_rig import ALARM, PipelineRig, bulk, pack
from tests.deploy.relay.test_monitoring import HERE
from tests.deploy.relay.test_pipeline import ScriptedOutput
from tests.deploy.relay.test_relay import wait_until


class HungOutput(ScriptedOutput):
    """Waits in `deliver` until `answer` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = threading.Event()

    def deliver(self, items: list[Item]) -> None:
        self.answer.wait()
        super().deliver(items)


def test_an_output_that_hangs_fails_and_recovers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(delivery, "HUNG_S", 0.2)
    rig, output = PipelineRig(required={"store"}), HungOutput()
    rig.add_output("store", output)
    rig.pipeline.start()
    rig.receive(pack(ALARM, bulk(1)))

    def failing() -> int:
        rig.pipeline._tidy(force=True)
        rig.pipeline.process()
        return rig.pipeline.counts()["output_store_failing_now"]

    assert not failing()
    wait_until(lambda: failing() == 1)
    output.answer.set()
    wait_until(lambda: failing() == 0)
    rig.pipeline.begin_stop()
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["output store: no answer for 0 s", "output store: works again"]
    rig.close()


def test_a_stop_ends_in_time_for_a_container(tmp_path: Path) -> None:
    rig, output = PipelineRig(tmp_path / "r.db", required={"store"}), HungOutput()
    rig.add_output("store", output)
    rig.pipeline.start()
    rig.receive(pack(ALARM, bulk(1)))
    while rig.pipeline.process():
        pass
    start = time.monotonic()
    rig.pipeline.begin_stop()
    rig.pipeline.stop()
    assert time.monotonic() - start < 7
    output.answer.set()
    rig.pipeline.workers["store"].join()
    rig.close()


def test_the_backlog_alert_is_below_the_limit_of_the_reception() -> None:
    rules = (HERE / "alert_rules.yml").read_text()
    limit = int(rules.split('_backlog_now"} > ')[1].split("'")[0])
    assert limit < MAX_AHEAD
