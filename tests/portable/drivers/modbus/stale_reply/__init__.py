# SPDX-License-Identifier: Apache-2.0
"""Tests of drivers/modbus/stale_reply."""
