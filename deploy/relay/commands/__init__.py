# SPDX-License-Identifier: Apache-2.0
"""Commands beside the relay itself: `--check` and `quarantine`."""
