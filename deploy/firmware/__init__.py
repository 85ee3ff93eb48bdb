# SPDX-License-Identifier: Apache-2.0
"""MicroPython images: build, run under QEMU, flash."""
