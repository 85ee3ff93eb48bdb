# SPDX-License-Identifier: Apache-2.0
"""The optimiser of `cooling`: search, load, facility side."""
