# SPDX-License-Identifier: Apache-2.0
"""Poll plans: the reads that fetch the points of a device."""
