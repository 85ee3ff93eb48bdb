# SPDX-License-Identifier: Apache-2.0
"""Signed messages between two controllers, over datagrams or a serial line."""
