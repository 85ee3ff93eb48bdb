# SPDX-License-Identifier: Apache-2.0
"""The suite itself: its parts, marks, targets and repeated tests."""
