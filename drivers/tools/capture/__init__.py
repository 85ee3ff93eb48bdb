# SPDX-License-Identifier: Apache-2.0
"""The quick way of `coldloop nmea decode --json` for a file: the same epochs, as text."""
