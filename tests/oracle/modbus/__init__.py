# SPDX-License-Identifier: Apache-2.0
"""Modbus against independent programs and libraries."""
