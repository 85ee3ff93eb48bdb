# SPDX-License-Identifier: Apache-2.0
"""Receiver commands against emulated receivers."""
