# SPDX-License-Identifier: Apache-2.0
"""The emulated satellite modems against clients of other people."""
