# SPDX-License-Identifier: Apache-2.0
"""Several receivers: each has a clock, and the majority decides which one is followed."""
