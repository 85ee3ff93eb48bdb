# SPDX-License-Identifier: Apache-2.0
"""Images for boards with RP2040 and RP2350."""
