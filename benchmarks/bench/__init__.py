# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of the bench: speed, digests, real time, the page."""
