# SPDX-License-Identifier: Apache-2.0
"""Grid, loads, servers, optics."""
