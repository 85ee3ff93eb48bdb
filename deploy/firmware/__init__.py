"""MicroPython images: fetched, built, packed, run under QEMU, put on boards."""
