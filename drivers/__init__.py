"""First floor: one device on one port, spoken to through a protocol.

The drivers are as free of input and output as the protocols below them: they take bytes and the
time, and leave bytes to be sent. Only `drivers.ports` touches an operating system or a board.
"""
