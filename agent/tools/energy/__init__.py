# SPDX-License-Identifier: Apache-2.0
"""Reports of the energy account: `coldloop ledger`."""
