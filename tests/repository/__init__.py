# SPDX-License-Identifier: Apache-2.0
"""Tests of the repository: gates, documents, benchmarks, installation."""
