# SPDX-License-Identifier: Apache-2.0
"""Acceptance of one's own unit: its configuration with emulated twins, or with its real devices."""
