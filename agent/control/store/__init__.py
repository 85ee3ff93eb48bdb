# SPDX-License-Identifier: Apache-2.0
"""Records of the control room that survive a restart."""
