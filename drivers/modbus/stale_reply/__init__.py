# SPDX-License-Identifier: Apache-2.0
"""Late replies on a serial line: see `guard`."""
