# SPDX-License-Identifier: Apache-2.0
"""The exceptions of `protocols`.

    ProtocolError
    +-- EncodeError    error of the caller: the protocol cannot carry the value
    +-- DecodeError    error of the peer: the bytes are not valid

Framers and clients never raise for received bytes; they count them and report events.
`DecodeError` is for decoders of one complete message whose caller needs the reason.
"""


class ProtocolError(Exception):
    """Base class of all exceptions of `protocols`."""


class EncodeError(ProtocolError):
    """The protocol cannot carry this value, length or address."""


class DecodeError(ProtocolError):
    """The bytes are not a valid message; the text names the broken rule."""
