# SPDX-License-Identifier: Apache-2.0
"""Datagrams over a satellite modem (sections modem, modem_store)."""
