# SPDX-License-Identifier: Apache-2.0
"""The outputs of an acceptance on real devices in its record: the old words, and their return.

Does not return outputs; see `hil.tools.commission.outputs.output_guard`. Each output is a finding
of the last run. One that is perhaps not at its old words fails that run, as does a journal that
cannot be written: the exit code, the JSON and the signed record follow from its verdict. A value of
another master, and an output that cannot be read, make it marginal.
"""

from dataclasses import replace

from hil.record.provenance import OUTPUT_PREFIX
from hil.run.recorded import RecordedRun
from hil.scenario.judge import FAIL, MARGINAL, PASS, ExpectationResult
from hil.tools.commission.outputs.output_guard import ReturnedOutput
from hil.tools.commission.outputs.pending import FOREIGN, KEPT, NOT_RETURNED

_WINDOW = "after the test"


def add_outputs(
    recorded: RecordedRun,
    returned: list[ReturnedOutput],
    problems: list[str],
    unreadable: list[str],
) -> RecordedRun:
    """Return a run with the outputs as findings. `unreadable`: outputs whose words are unknown."""
    at_s = recorded.run_result.virtual_s
    found = [_finding(output, at_s) for output in returned]
    found += [_unreadable(name, at_s) for name in unreadable]
    result = recorded.run_result
    return replace(
        recorded,
        results=[*recorded.results, *found],
        run_result=replace(result, failures=(*result.failures, *problems)),
    )


def _finding(output: ReturnedOutput, at_s: float) -> ExpectationResult:
    old = output.old
    measure = f"{OUTPUT_PREFIX}{output.device['name']}.{old.point}, register {old.address}"
    limits = f"the old words {old.words} are written back and read"
    if output.state == KEPT:
        limits = f"it keeps the value of the agent; the old words were {old.words}"
    verdict = {NOT_RETURNED: FAIL, FOREIGN: MARGINAL}.get(output.state, PASS)
    failure = output.line if verdict == FAIL else None
    marginal_text = output.line if verdict == MARGINAL else None
    return _result(measure, limits, verdict, at_s, failure, marginal_text)


def _unreadable(name: str, at_s: float) -> ExpectationResult:
    marginal_text = f"{name}: cannot be read, so it keeps what the agent wrote last"
    return _result(
        f"{OUTPUT_PREFIX}{name}", "its old words are read", MARGINAL, at_s, None, marginal_text
    )


def _result(
    measure: str,
    limits: str,
    verdict: str,
    at_s: float,
    failure: str | None,
    marginal_text: str | None,
) -> ExpectationResult:
    sample = float(verdict == PASS)
    return ExpectationResult(
        measure, "", limits, _WINDOW, "", verdict, sample, at_s, None, failure, marginal_text
    )
