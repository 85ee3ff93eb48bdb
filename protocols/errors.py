"""The exceptions of the ground floor.

    ProtocolError
    +-- EncodeError    our fault: a value that the wire cannot carry was asked for
    +-- DecodeError    the peer's fault: bytes that mean nothing here

Bytes that arrive from a port never raise out of a framer or a client: they are counted and
reported as events. `DecodeError` is for one-shot decoders whose caller wants the reason.
"""


class ProtocolError(Exception):
    """Root of everything that `protocols` raises."""


class EncodeError(ProtocolError):
    """A value, length or address that the protocol cannot carry."""


class DecodeError(ProtocolError):
    """Bytes that are not a valid message; the text says which rule they break."""
