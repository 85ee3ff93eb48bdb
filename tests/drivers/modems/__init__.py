# SPDX-License-Identifier: Apache-2.0
"""Satellite modem drivers against emulated modems."""
