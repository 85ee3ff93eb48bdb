# SPDX-License-Identifier: Apache-2.0
"""What operators start: operating modes, proof tests, tuning of the loops."""
