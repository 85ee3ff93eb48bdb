# SPDX-License-Identifier: Apache-2.0
"""The shells: they advance the time of the bench (virtual, lock-step, real)."""
