# SPDX-License-Identifier: Apache-2.0
"""Portable tests of agent/redundancy."""
