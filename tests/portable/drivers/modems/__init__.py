# SPDX-License-Identifier: Apache-2.0
"""Radio rules of the satellite modems."""
