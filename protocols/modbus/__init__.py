# SPDX-License-Identifier: Apache-2.0
"""Modbus PDU, RTU and TCP framing, line sniffer."""
