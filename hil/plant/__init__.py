# SPDX-License-Identifier: Apache-2.0
"""The thermal-hydraulic plant; imports no other package of this project."""
