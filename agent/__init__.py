"""Second floor: decisions. Clock, ticks, control, safety, telemetry, uplink.

`agent.agent.Agent` is the whole controller as one object without input or output; the shells in
`agent.runtime` turn its crank on each platform.
"""
