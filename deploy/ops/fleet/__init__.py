# SPDX-License-Identifier: Apache-2.0
"""Commands `coldloop fleet`: units, alarms and rows in the embedded store of the relay."""
