# SPDX-License-Identifier: Apache-2.0
"""Decoding: records of the outbox to rows and notes with dates."""
