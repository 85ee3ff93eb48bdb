"""The words that `coldloop hil year` knows; imports nothing, so that help comes at once."""

from __future__ import annotations

POLICIES = ("coldloop", "optimum", "fixed:30", "fixed:40", "phosphor", "pi", "track:22")
"""The policies; `fixed:` and `track:` take any supply temperature of 15 to 45 degC."""

KINDS = ("dry", "adiabatic", "tower")
"""Kinds of heat rejection."""

CLIMATES = ("dubai", "abu-dhabi", "johannesburg", "cape-town")
"""Shipped climates."""

FAULTS = ("none", "dead", "both-dead")
"""Of humidity sensors: all alive; one silent from the second month on; both from the second on."""
