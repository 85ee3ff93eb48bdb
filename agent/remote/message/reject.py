# SPDX-License-Identifier: Apache-2.0
"""Reject reasons of messages: one table of words, each for a fault or an attack.

Does not check messages; see `agent.remote.message.verifier`. The names of attacks are those of The
Update Framework and Uptane (replay, rollback, freeze).
"""

REJECT_REASONS = (
    "malformed",  # not a message of this format
    "too_large",  # longer than the limit
    "wrong_target",  # for another unit or group
    "unknown_signer",  # signed with an unknown key
    "wrong_role",  # the signer lacks the role, or the second signature is missing
    "replay",  # this message was accepted before
    "rollback",  # older than the last accepted message
    "wrong_base",  # made for another version of the configuration
    "expired",  # the time is over; holding a message back is a freeze attack
    "bad_signature",  # changed in transit, or for another unit or another base
    "not_yet",  # waits for its time
    "unknown_key",  # the parameter does not exist
    "out_of_range",  # the value is not valid in a configuration
    "too_big_step",  # the change is too large for one message
    "busy",  # another change is on trial
    "no_trial",  # nothing is on trial
    "unsupported",  # no component of this unit can do it
    "store",  # the change could not be stored
)


class Rejection(Exception):  # noqa: N818 - a verdict, not a fault
    """A rejected message. `reason` is one of `REJECT_REASONS`, `detail` explains it."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason + (": " + detail if detail else ""))
        assert reason in REJECT_REASONS  # noqa: S101 - our own words
        self.reason = reason
        self.detail = detail
