"""The bench: a world in which every device of a liquid-cooled row is emulated.

It runs in virtual time, thousands of times faster than the clock on the wall, or in real time over
real ports. Nothing here is needed on a controller.
"""
