# SPDX-License-Identifier: Apache-2.0
"""Shared by all packages of the agent: component interface, registry, alarms, records, errors."""
