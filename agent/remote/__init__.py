# SPDX-License-Identifier: Apache-2.0
"""Remote management: signed changes, commands and updates of operators."""
