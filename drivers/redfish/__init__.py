# SPDX-License-Identifier: Apache-2.0
"""Power limits of servers and GPUs behind one Redfish service."""
