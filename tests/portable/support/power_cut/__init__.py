# SPDX-License-Identifier: Apache-2.0
"""Power cuts at each write: the model of a flash memory and two sweeps."""
