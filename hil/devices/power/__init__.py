# SPDX-License-Identifier: Apache-2.0
"""Electrical devices: meters, PDU, BMC, mains."""
