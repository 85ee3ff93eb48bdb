# SPDX-License-Identifier: Apache-2.0
"""What goes over the wire between a diagnostic command and a device. Has no port and no bus."""
