"""Plain test functions that run on CPython and on MicroPython alike."""
