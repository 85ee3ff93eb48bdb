# SPDX-License-Identifier: Apache-2.0
"""Reports of units, and the keys by which the tools accept them."""
