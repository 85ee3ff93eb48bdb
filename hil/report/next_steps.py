# SPDX-License-Identifier: Apache-2.0
"""The next step for the technician after a failed expectation, by measure.

Does not give a diagnosis: the bench knows the violated limit, but not the cause.
"""

_STEPS: dict[str, str] = {
    "supply_c": "Check the valve's stroke and direction, the facility water and the set-point.",
    "case_c": "Check flow and load. Check that the load was limited in time.",
    "dp_kpa": "Check the pumps, the speed references of their drives, and the filter.",
    "flow_lpm": "Check the pumps, the valves in the loop, and the filter.",
    "valve_pct": "Check the actuator's supply and address. Check that it is not in local mode.",
    "pump_pct": "Check the drive's panel: local or remote mode, faults, safe torque off input.",
    "utc_error_ms": "Check antenna, baud rate and configured latency of the receiver.",
    "utc_beyond_bound_ms": "Check the oscillator's drift and temperature coefficient.",
    "clock": "Check the receiver: antenna, sky view, sentences (`coldloop nmea monitor`).",
    "state": "Read the alarms: each names a device or a port.",
    "alarm": "Each alarm names a device or a port. Check that first.",
    "alarms": "Each alarm names a device or a port. Check that first.",
    "missed_ticks": "Check other programs on the controller, and its flash.",
    "modbus_errors": "Check wiring, termination, unit ids and baud rate (`coldloop modbus scan`).",
    "acknowledged_pct": "Check the link and the log of the broker.",
    "rows_waiting": "Check the link and its contact windows.",
    "writers": "Two controllers wrote in one cycle: keep this pair out of operation, report it.",
    "writer_gap_s": "Read the roles in the console: they name the state that took too long.",
    "role": "Read the roles in the console. Check ports, keys and `bus_timeout_ms` of both.",
    "units_running": "Read the reasons of the units (`coldloop status`, section `group`).",
    "rows_dropped": "Compare the size of the queue with the longest outage.",
}
GENERAL = "Repeat the run with the line after `again`. Read the curves before the worst value."


def next_step(measure: str) -> str:
    """Return the line for a measure; its argument does not matter."""
    return _STEPS.get(measure.split(":", maxsplit=1)[0], GENERAL)
