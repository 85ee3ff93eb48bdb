# SPDX-License-Identifier: Apache-2.0
"""Shared by all rooms: component interface, registry, alarms, records, errors."""
