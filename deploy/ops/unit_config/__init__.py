# SPDX-License-Identifier: Apache-2.0
"""Configurations that units publish: read, compared, tried with a change."""
