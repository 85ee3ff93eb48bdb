"""Code that only a message needs: loaded when one comes, on a board forgotten afterwards.

Reading, checking and obeying a message take more code than all the loops; between messages, which
is nearly always, a board has better use for that room. The modules are imported where they are
used; `forget` drops what nobody refers to any more. On CPython nothing is forgotten.
"""

import gc
import sys

ONLY_FOR_MESSAGES = (
    "agent.remote.update.boot",
    "agent.remote.capture",
    "agent.remote.message.command",
    "agent.remote.export",
    "agent.remote.message.header",
    "agent.remote.message.verifier",
    "agent.remote.message.keyring",
    "agent.remote.message.manifest",
    "agent.remote.command_table",
    "agent.remote.message.parameters",
    "agent.remote.message.patch",
    "agent.remote.update.live_change",
    "agent.remote.decommission",
    "protocols.signing.ed25519",
    "protocols.signing.sha512",
)
_ONLY_FOR_SIGNATURES = (
    "agent.remote.message.verifier",
    "agent.remote.message.keyring",
    "protocols.signing.ed25519",
    "protocols.signing.sha512",
)
_ONLY_FOR_TRIALS = ("agent.remote.update.trial", "agent.remote.update.plant_check")
_SMALL = sys.implementation.name == "micropython"


def forget(on_trial: bool) -> None:
    """Drop the modules; they come back by themselves. `on_trial`: keep those that watch one."""
    _drop(ONLY_FOR_MESSAGES if on_trial else ONLY_FOR_MESSAGES + _ONLY_FOR_TRIALS)


def verified() -> None:
    """Drop what has been done with before a message is acted on: verification, the most of it."""
    _drop(_ONLY_FOR_SIGNATURES)


def _drop(names: "tuple[str, ...]") -> None:
    if not _SMALL:
        return
    for full in names:
        if full in sys.modules:
            del sys.modules[full]
            package, _, name = full.rpartition(".")
            if hasattr(sys.modules.get(package), name):
                delattr(sys.modules[package], name)
    gc.collect()
