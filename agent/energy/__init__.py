# SPDX-License-Identifier: Apache-2.0
"""Energy and water accounting (section ledger)."""
