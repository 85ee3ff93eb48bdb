# SPDX-License-Identifier: Apache-2.0
"""Counters of bytes and frames of one line or stream. Does not count transactions."""


class FrameCounters:
    """What a reply matcher has received beside the replies; all counters are monotonic.

    discarded_bytes     noise
    other_unit_frames   frames from or for other units
    unsolicited         replies after the end of their transaction
    mismatches          replies of the right unit with wrong content
    echoes              copies of our requests
    crc_errors          frames that start like the reply and have a wrong CRC or LRC
    """

    def __init__(self) -> None:
        self.discarded_bytes = 0
        self.other_unit_frames = 0
        self.unsolicited = 0
        self.mismatches = 0
        self.echoes = 0
        self.crc_errors = 0
