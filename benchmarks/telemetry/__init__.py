# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of telemetry: codec, outage, relay."""
