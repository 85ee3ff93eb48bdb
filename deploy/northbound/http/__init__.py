# SPDX-License-Identifier: Apache-2.0
"""HTTPS server of the northbound processes: connections, limits, TLS, access."""
