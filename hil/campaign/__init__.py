# SPDX-License-Identifier: Apache-2.0
"""Random campaigns, n-th failure sweeps, shrinking, clusters."""
