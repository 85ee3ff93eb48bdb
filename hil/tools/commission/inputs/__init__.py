# SPDX-License-Identifier: Apache-2.0
"""Inputs of a commissioning: questions to the technician, and the checks of their values."""
