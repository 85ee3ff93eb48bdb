# SPDX-License-Identifier: Apache-2.0
"""What people need to know of alarms: catalogue, grouping, shelving. CPython only."""
