# SPDX-License-Identifier: Apache-2.0
"""Heat headroom of rows for a scheduler: `coldloop orchestrate`."""
