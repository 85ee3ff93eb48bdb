# SPDX-License-Identifier: Apache-2.0
"""UTC: clock discipline, holdover, leap seconds, PPS, chrony."""
