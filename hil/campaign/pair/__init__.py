# SPDX-License-Identifier: Apache-2.0
"""Two redundant controllers on one emulated line: one run, and many with faults."""
