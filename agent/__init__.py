# SPDX-License-Identifier: Apache-2.0
"""Layer 3: decisions. Clock, ticks, control, safety, telemetry, uplink.

`agent.agent.Agent` is the complete controller as one object without input or output. The runtimes
in `agent.runtime` step it on each platform.
"""
