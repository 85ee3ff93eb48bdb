# SPDX-License-Identifier: Apache-2.0
"""Subcommands of `coldloop hil` for authors of scenarios: new, check, words."""
