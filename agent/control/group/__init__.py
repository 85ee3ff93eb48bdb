# SPDX-License-Identifier: Apache-2.0
"""Groups of 2 to 16 CDUs without a coordinator: all compute the same from the same reports."""
