# SPDX-License-Identifier: Apache-2.0
"""Tests of the diagnostic commands: numbers, texts, requests, ports that hang up."""
