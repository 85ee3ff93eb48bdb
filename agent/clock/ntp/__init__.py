# SPDX-License-Identifier: Apache-2.0
"""NTP servers of the site as an independent source of UTC."""
