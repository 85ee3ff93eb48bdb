# SPDX-License-Identifier: Apache-2.0
"""Record of all points for the servers of the site, and the way in for their signed messages."""
