# SPDX-License-Identifier: Apache-2.0
"""Resources of the Redfish tree, one module a service or a group of parts."""
