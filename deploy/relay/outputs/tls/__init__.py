# SPDX-License-Identifier: Apache-2.0
"""TLS of outputs: certificates at their servers, and the faults of a connection."""
