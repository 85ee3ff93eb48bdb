# SPDX-License-Identifier: Apache-2.0
"""Records: hash chain, key, comparison."""
