# SPDX-License-Identifier: Apache-2.0
"""Satellite communication: modems, radio, sky, message gateway."""
