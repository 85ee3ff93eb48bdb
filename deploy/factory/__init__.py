# SPDX-License-Identifier: Apache-2.0
"""Production of units: flash, key, configuration, test, label, record."""
