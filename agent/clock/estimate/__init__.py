# SPDX-License-Identifier: Apache-2.0
"""Estimates of the offset and rate of UTC, with intervals that contain the truth."""
