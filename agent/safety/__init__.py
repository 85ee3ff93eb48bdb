# SPDX-License-Identifier: Apache-2.0
"""Interlocks and unit state (section `safety`)."""
