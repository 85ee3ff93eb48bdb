# SPDX-License-Identifier: Apache-2.0
"""Ports: interface, addresses, store requests; one subpackage per platform."""
