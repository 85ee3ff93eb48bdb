# SPDX-License-Identifier: Apache-2.0
"""GNSS receivers and their satellites."""
