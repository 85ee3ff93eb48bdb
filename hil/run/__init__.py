# SPDX-License-Identifier: Apache-2.0
"""Runs of scenarios: virtual time, real time, captures, many rows."""
