# SPDX-License-Identifier: Apache-2.0
"""The bus: request queue, timing, timeouts, duplicate and late replies."""
