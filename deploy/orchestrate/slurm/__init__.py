# SPDX-License-Identifier: Apache-2.0
"""Heat headroom for Slurm: licences, drain, suspension, partitions, weights."""
