# SPDX-License-Identifier: Apache-2.0
"""Processes of the northbound servers: settings, sockets, services, their common parts."""
