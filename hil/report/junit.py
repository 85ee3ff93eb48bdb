# SPDX-License-Identifier: Apache-2.0
"""A record as JUnit XML: each run is a test suite, each expectation and question a test case.

A question without an answer is a skipped test. A failure that belongs to no expectation, such as an
aborted run, is a test case of its own.
"""

from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from hil.record.provenance import describe_run_verdict
from hil.record.record import Record
from hil.scenario.questions import NOT_ANSWERED, count_unanswered, list_denials


def write_junit(record: Record) -> str:
    """Write the XML as text."""
    root = Element("testsuites", name=f"{record['suite']}: {record['verdict_text']}")
    for run in record["runs"]:
        _add_suite(root, run)
    indent(root)
    return tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _add_suite(root: Element, run: Record) -> None:
    named = [result["failure"] for result in run["findings"] if result["failure"] is not None]
    others = [line for line in run["failures"] if line not in named]
    answers = run["answers"]
    skipped = count_unanswered(answers)
    failures = len(named) + len(others) + len(list_denials(answers))
    suite = SubElement(
        root,
        "testsuite",
        name=run["scenario"],
        tests=str(len(run["findings"]) + len(others) + len(answers)),
        failures=str(failures),
        skipped=str(skipped),
        errors="0",
        timestamp=run["provenance"]["started_utc"].removesuffix("Z"),
        time=str(run["wall_s"]),
    )
    _add_properties(suite, run)
    for result in run["findings"]:
        name = f"{result['measure']} {result['limits']} ({result['window']})"
        case = SubElement(suite, "testcase", classname=run["scenario"], name=name)
        if result["failure"] is not None:
            SubElement(case, "failure", message=result["failure"])
        elif result.get("near"):  # JUnit has no marginal verdict
            SubElement(case, "system-out").text = f"marginal: {result['near']}"
    for line in others:
        case = SubElement(suite, "testcase", classname=run["scenario"], name=line)
        SubElement(case, "failure", message=line)
    for answer in answers:
        _add_answer(suite, run["scenario"], answer)


def _add_properties(suite: Element, run: Record) -> None:
    properties = SubElement(suite, "properties")
    provenance = run["provenance"]
    facts = {"verdict": describe_run_verdict(run), "interpreter": provenance["interpreter"]}
    facts |= {f"device {d['name']}": f"{d['kind']}, {d['port']}" for d in provenance["devices"]}
    for name, value in facts.items():
        SubElement(properties, "property", name=name, value=value)


def _add_answer(suite: Element, scenario: str, answer: dict[str, Any]) -> None:
    given = f"{answer['answer']} {answer['unit']}".strip()
    case = SubElement(suite, "testcase", classname=scenario, name=f"question: {answer['text']}")
    if answer["answer"] is None:
        SubElement(case, "skipped", message=NOT_ANSWERED)
    elif answer["answer"] == "no" and answer["ask"] == "confirm":
        SubElement(case, "failure", message=f"question: {answer['text']}: no")
    else:
        SubElement(case, "system-out").text = f"{given}, {answer['by']}"
