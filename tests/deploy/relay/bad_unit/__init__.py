# SPDX-License-Identifier: Apache-2.0
"""One bad unit and the others: mutated messages, and the delay of another unit."""
