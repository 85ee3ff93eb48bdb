# SPDX-License-Identifier: Apache-2.0
"""Subcommands of coldloop clock, ledger, link and telemetry, one file each."""
