# SPDX-License-Identifier: Apache-2.0
"""GNSS integrity monitoring (section integrity), receiver set-up."""
