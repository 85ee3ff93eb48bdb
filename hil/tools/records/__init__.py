# SPDX-License-Identifier: Apache-2.0
"""Subcommands of `coldloop hil` about records: verify, compare, report, key."""
