# SPDX-License-Identifier: Apache-2.0
"""Control laws: pure calculation, no bus, no ports."""
