# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of remote management: signatures, rollouts."""
