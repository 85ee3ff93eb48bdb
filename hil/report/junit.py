# SPDX-License-Identifier: Apache-2.0
"""A record as JUnit XML: each run is a test suite, each expectation a test case."""

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from hil.record.record import Record


def write_junit(record: Record) -> str:
    """Write the XML as text."""
    root = Element("testsuites", name=record["suite"])
    for run in record["runs"]:
        _add_suite(root, run)
    indent(root)
    return tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _add_suite(root: Element, run: Record) -> None:
    failures = sum(f["failure"] is not None for f in run["findings"])
    suite = SubElement(
        root,
        "testsuite",
        name=run["scenario"],
        tests=str(len(run["findings"])),
        failures=str(failures),
        time=str(run["wall_s"]),
    )
    for result in run["findings"]:
        name = f"{result['measure']} {result['limits']} ({result['window']})"
        case = SubElement(suite, "testcase", classname=run["scenario"], name=name)
        if result["failure"] is not None:
            SubElement(case, "failure", message=result["failure"])
        elif result.get("near"):  # JUnit has no marginal verdict
            SubElement(case, "system-out").text = f"marginal: {result['near']}"
