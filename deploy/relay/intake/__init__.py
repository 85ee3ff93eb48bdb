# SPDX-License-Identifier: Apache-2.0
"""Reception: messages of units and of message gateways to records."""
