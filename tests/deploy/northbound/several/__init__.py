# SPDX-License-Identifier: Apache-2.0
"""Records of several controllers: a redundant pair, a group of units."""
