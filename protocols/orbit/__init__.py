# SPDX-License-Identifier: Apache-2.0
"""Orbits and look angles."""
