# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: measurements for a manual comparison, side by side in one run."""
