# SPDX-License-Identifier: Apache-2.0
"""The panel: the page for the person at the cabinet."""
