"""Why a message from operators is refused: one table of words, each naming the fault or the attack.

The names of attacks are those of The Update Framework and Uptane (replay, rollback, freeze).
"""

REJECT_REASONS = (
    "malformed",  # not a message of this format
    "too_large",  # longer than a message may be
    "wrong_target",  # meant for another unit or group
    "unknown_signer",  # signed with a key that this unit does not know
    "wrong_role",  # the signer may not change this, or a second signature is missing
    "replay",  # this message was here before
    "rollback",  # older than what was accepted last
    "wrong_base",  # made for another version of the configuration
    "expired",  # its time has passed; a message held back is a freeze attack
    "bad_signature",  # changed on its way, or meant for another unit or another base
    "not_yet",  # waits for its time
    "unknown_key",  # names a parameter that does not exist
    "out_of_range",  # a value that no configuration may hold
    "too_big_step",  # a change larger than one message may make
    "busy",  # another change is on trial
    "no_trial",  # nothing is on trial
    "unsupported",  # this unit has no part that could do it
    "store",  # the change could not be stored
)


class Rejection(Exception):  # noqa: N818 - a verdict, not a fault
    """A message that is not acted on: `reason` is one of `REJECT_REASONS`, `detail` says what
    exactly.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason + (": " + detail if detail else ""))
        assert reason in REJECT_REASONS  # noqa: S101 - our own words
        self.reason = reason
        self.detail = detail
