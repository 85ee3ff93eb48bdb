# SPDX-License-Identifier: Apache-2.0
"""Runs of more than one controller in virtual time: a pair, a group, many rows."""
