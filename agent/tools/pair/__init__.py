# SPDX-License-Identifier: Apache-2.0
"""`coldloop pair`: the role of one of two redundant controllers."""
