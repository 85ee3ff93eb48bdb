# SPDX-License-Identifier: Apache-2.0
"""A year of cooling: policies, optimum, energy account, plot."""
