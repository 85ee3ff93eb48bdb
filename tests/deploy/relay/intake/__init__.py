# SPDX-License-Identifier: Apache-2.0
"""Tests of the reception: webhook, certificates and rights, repeated datagrams."""
