# SPDX-License-Identifier: Apache-2.0
"""`coldloop commission`: from an unknown device to a signed report."""
