# SPDX-License-Identifier: Apache-2.0
"""Signed messages: formats, verification, reject reasons."""
