# SPDX-License-Identifier: Apache-2.0
"""Outputs: formats and engines that the relay delivers to."""
