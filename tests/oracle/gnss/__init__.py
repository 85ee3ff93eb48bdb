# SPDX-License-Identifier: Apache-2.0
"""GNSS receivers judged by other programs: gpsd, ubxtool, pyubx2, pynmeagps, pyunigps."""
