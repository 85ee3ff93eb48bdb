# SPDX-License-Identifier: Apache-2.0
"""Certificate authority of a fleet, and its enrolment server (RFC 7030)."""
