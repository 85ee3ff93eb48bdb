# SPDX-License-Identifier: Apache-2.0
"""Redfish service of the unit (DSP0266): ThermalEquipment, sensors, controls, events, accounts."""
