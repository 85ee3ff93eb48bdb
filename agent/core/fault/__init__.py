# SPDX-License-Identifier: Apache-2.0
"""Containment of exceptions; loaded at the first one."""
