# SPDX-License-Identifier: Apache-2.0
"""The testbed: one row of emulated devices, its plant and its configuration."""
