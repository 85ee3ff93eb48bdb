# SPDX-License-Identifier: Apache-2.0
"""Modbus TCP server for a building management system: register map, limits, set-points."""
