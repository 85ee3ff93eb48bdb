# SPDX-License-Identifier: Apache-2.0
"""Device sessions on the buses, point sensors."""
