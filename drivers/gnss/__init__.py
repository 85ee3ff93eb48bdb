# SPDX-License-Identifier: Apache-2.0
"""GNSS receiver driver: fixes, epochs and receiver set-up."""
