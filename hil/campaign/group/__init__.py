# SPDX-License-Identifier: Apache-2.0
"""A group of CDUs in one virtual world: one facility loop, one network, shared heat."""
