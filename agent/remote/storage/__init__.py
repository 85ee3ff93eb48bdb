# SPDX-License-Identifier: Apache-2.0
"""Power-cut-safe slots, audit log."""
