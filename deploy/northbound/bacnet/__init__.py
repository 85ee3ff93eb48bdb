# SPDX-License-Identifier: Apache-2.0
"""BACnet/IP device (ANSI/ASHRAE 135): objects, alarms, trend logs; a process of its own."""
