# SPDX-License-Identifier: Apache-2.0
"""The subcommands of `coldloop clock`, and the checks of captures."""
