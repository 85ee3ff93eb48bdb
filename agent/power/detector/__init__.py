# SPDX-License-Identifier: Apache-2.0
"""What the cooling can carry: headroom, loss of heat rejection, trend of the inlet, supply check."""
