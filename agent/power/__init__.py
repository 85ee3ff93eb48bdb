# SPDX-License-Identifier: Apache-2.0
"""Power limits of the IT loads (section throttle)."""
