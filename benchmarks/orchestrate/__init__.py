# SPDX-License-Identifier: Apache-2.0
"""Jobs on a real Slurm, coupled to an emulated row."""
