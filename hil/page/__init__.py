# SPDX-License-Identifier: Apache-2.0
"""The live web page of the bench."""
