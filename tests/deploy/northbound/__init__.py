# SPDX-License-Identifier: Apache-2.0
"""Tests of deploy/northbound.

Their passwords have quick hashes: one with the real cost needs 50 ms. A hash names its cost, so
the servers of the tests verify them quickly too. `access/test_accounts.py` tests the real cost.
"""

from deploy.northbound.access import password

REAL_COST = password._N
password._N = 2
