# SPDX-License-Identifier: Apache-2.0
"""MQTT connections of the relay: client, session of the units, connection of the outputs."""
