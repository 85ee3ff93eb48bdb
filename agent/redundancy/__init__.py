# SPDX-License-Identifier: Apache-2.0
"""Two controllers on one field bus: which of them writes."""
