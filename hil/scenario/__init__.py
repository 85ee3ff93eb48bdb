# SPDX-License-Identifier: Apache-2.0
"""Scenario and suite files, checks, evaluation."""
