# SPDX-License-Identifier: Apache-2.0
"""Commands of `coldloop hil` for several controllers: a pair, a group."""
