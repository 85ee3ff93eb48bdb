# SPDX-License-Identifier: Apache-2.0
"""Telemetry block codec and messages."""
