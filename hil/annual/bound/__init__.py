# SPDX-License-Identifier: Apache-2.0
"""The cheapest year that the plant permits: search, proof of the search, load shifting."""
