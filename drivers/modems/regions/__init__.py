# SPDX-License-Identifier: Apache-2.0
"""Radio rules as data: one module for each region, loaded only for the configured one. Portable."""
