# SPDX-License-Identifier: Apache-2.0
"""SNMPv3 under snmpd of net-snmp: MIB, values, informs; a process of its own."""
