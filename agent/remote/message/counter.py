# SPDX-License-Identifier: Apache-2.0
"""Counter of a signed message: an epoch and seconds.

Does not check a message; see `agent.remote.message.verifier`.

The seconds are those since 2026-01-01 at signing, so a counter grows by itself for each signer. Two
rules bound it:

- The seconds are at most one day after the trusted UTC. Without trusted UTC they are at most 400
  days after the time of the last accepted message (see `agent.remote.message_clock`).
- Only a message with the signatures of the role `LIMITS` opens the next epoch. It starts all
  counters of the unit again. So no single key can use up the counters of a unit.

A counter of epoch 0 has the same length in a message as before there were epochs.
"""

EPOCH_BITS = 32
_SECONDS = (1 << EPOCH_BITS) - 1


def epoch_of(counter: int) -> int:
    """Return the epoch of a counter."""
    return counter >> EPOCH_BITS


def seconds_of(counter: int) -> int:
    """Return the time of a counter, seconds since 2026-01-01."""
    return counter & _SECONDS


def first_of(epoch: int) -> int:
    """Return the counter with which an epoch begins. A message has a higher one."""
    return epoch << EPOCH_BITS
