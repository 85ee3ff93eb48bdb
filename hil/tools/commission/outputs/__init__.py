# SPDX-License-Identifier: Apache-2.0
"""The outputs of real devices: their words of before, the write test, and the way back."""
