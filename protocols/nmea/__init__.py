# SPDX-License-Identifier: Apache-2.0
"""NMEA 0183 framing, sentences, satellites in view."""
