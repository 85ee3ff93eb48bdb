"""What to check next when an expectation failed: a line for the technician, by measure.

Not a diagnosis: the bench knows what was out of its limits, not why.
"""

_STEPS: dict[str, str] = {
    "supply_c": "Check the valve's stroke and direction, the facility water, the set-point.",
    "case_c": "Check flow and load; was the load throttled in time?",
    "dp_kpa": "Check pumps, drives' references and the filter.",
    "flow_lpm": "Check pumps, valves in the loop and the filter.",
    "valve_pct": "Check the actuator's supply, its address, and whether it is in hand.",
    "pump_pct": "Check the drive's panel: local or remote, faults, the safe torque off input.",
    "utc_error_ms": "Check the receiver's antenna, its baud rate and the latency in the profile.",
    "utc_beyond_bound_ms": "Check the oscillator's drift and temperature coefficient.",
    "clock": "Check the receiver: antenna, sky view, sentences (`coldloop nmea monitor`).",
    "state": "Look at the alarms: each names a device or a port.",
    "alarm": "Each alarm names a device or a port; start there.",
    "alarms": "Each alarm names a device or a port; start there.",
    "missed_ticks": "Check what else runs on the controller, and its flash.",
    "modbus_errors": "Check wiring, termination, unit ids and baud rate (`coldloop modbus scan`).",
    "acknowledged_pct": "Check the link and the broker's log.",
    "rows_waiting": "Check the link: is there a contact window?",
    "rows_dropped": "Check the size of the queue against the longest outage.",
}
GENERAL = "Repeat the run with the line under `again`; look at the curves just before the worst."


def next_step(measure: str) -> str:
    """Give the line for a measure, whatever follows its colon."""
    return _STEPS.get(measure.split(":", maxsplit=1)[0], GENERAL)
