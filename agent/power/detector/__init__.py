# SPDX-License-Identifier: Apache-2.0
"""Capacity of the cooling: headroom, loss of heat rejection, inlet trend, supply check."""
