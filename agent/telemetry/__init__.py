# SPDX-License-Identifier: Apache-2.0
"""Rows, MQTT uplink, status snapshot."""
