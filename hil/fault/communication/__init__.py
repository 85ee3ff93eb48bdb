# SPDX-License-Identifier: Apache-2.0
"""Faults of communication: field bus, broker link and satellite modem."""
