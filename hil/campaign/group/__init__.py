# SPDX-License-Identifier: Apache-2.0
"""Failures of a group of CDUs in one virtual world: many runs, each judged."""
