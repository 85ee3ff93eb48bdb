# SPDX-License-Identifier: Apache-2.0
"""The argument values of `coldloop hil year`; imports nothing, so that the help is fast."""

from __future__ import annotations

POLICIES = ("coldloop", "optimum", "fixed:30", "fixed:40", "phosphor", "pi", "track:22")
"""The policies; `fixed:` and `track:` accept a supply temperature of 15 to 45 degC."""

KINDS = ("dry", "adiabatic", "tower")
"""Kinds of heat rejection."""

CLIMATES = ("dubai", "abu-dhabi", "johannesburg", "cape-town")
"""Shipped climates."""

FAULTS = ("none", "dead", "both-dead")
"""Faults of the humidity sensors: none; one dead from the second month; both dead from then."""

SILENT = ("none", "flow", "dp", "return", "facility")
"""Sensors of the row that give nothing in the whole run: flow, dP, return, facility water."""

BOUNDS = ("free", "margins", "thermostat")
"""Conditions of the bound: none; the margins of the unit below the limits of case and supply; these
and the thermostat of the pads."""

PLATFORMS = ("W45", "W40", "W32")
"""Classes of limits of the platform."""

LOADS = ("constant", "week", "training", "inference", "steps")
"""IT loads."""

WINDOWS_H = (1, 6, 12, 24)
"""Blocks of hours in which the clairvoyant bound stores heat and moves work; 1: none."""

WET_ABOVE_C = 29.0
"""Outdoor temperature from which an adiabatic cooler is wet. The reference has 30: then the loop
needs 2 % more energy, also with a fouled exchanger, and the cost is lower by 0.1 %.
"""
