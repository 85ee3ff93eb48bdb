# SPDX-License-Identifier: Apache-2.0
"""The other side of the agent's ports: virtual endpoints and real ports."""
