# SPDX-License-Identifier: Apache-2.0
"""MQTT 3.1.1 broker."""
