# SPDX-License-Identifier: Apache-2.0
"""The SQLite file of the relay: records, quarantine, decided dates, the lock of a name."""
