# SPDX-License-Identifier: Apache-2.0
"""Table of the points as data, and the columns of each protocol."""
