# SPDX-License-Identifier: Apache-2.0
"""What all rooms share: component interface, registry, alarms, records, errors."""
