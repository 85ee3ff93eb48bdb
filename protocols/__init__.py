"""Ground floor: bytes to meaning and back.

Everything here is pure: no port, no clock, no thread, no file. What needs time is given it
as monotonic integer microseconds. It runs on CPython and on MicroPython alike.
"""
