"""MicroPython images: build, run under QEMU, flash."""
