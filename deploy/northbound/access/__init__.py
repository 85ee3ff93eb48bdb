# SPDX-License-Identifier: Apache-2.0
"""Access to the northbound servers: accounts, sessions, audit log, writes. All protocols use it."""
