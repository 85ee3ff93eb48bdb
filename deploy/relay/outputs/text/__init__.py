# SPDX-License-Identifier: Apache-2.0
"""Texts of outputs: rows as JSON and lines, names and helps of metrics."""
