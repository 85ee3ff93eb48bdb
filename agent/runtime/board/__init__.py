# SPDX-License-Identifier: Apache-2.0
"""What the runtime has for boards only: watchdog and LED, gaps of the flash, garbage."""
