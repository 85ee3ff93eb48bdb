# SPDX-License-Identifier: Apache-2.0
"""The I/O loop on each platform."""
