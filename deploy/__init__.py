# SPDX-License-Identifier: Apache-2.0
"""Deployment: operators' commands, relay, installation check, packages, images."""
