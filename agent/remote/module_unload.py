"""Code that only a message needs: loaded when one comes, on a board forgotten afterwards.

Reading, checking and obeying a message take more code than all the loops; between messages, which
is nearly always, a board has better use for that room. The modules are imported where they are
used; `unload_modules` drops what nobody refers to any more. On CPython nothing is forgotten.
"""

import gc
import sys

MESSAGE_MODULES = (
    "agent.core.tunable",
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
_SIGNATURE_MODULES = (
    "agent.remote.message.verifier",
    "agent.remote.message.keyring",
    "protocols.signing.ed25519",
    "protocols.signing.sha512",
)
_TRIAL_MODULES = ("agent.remote.update.trial", "agent.remote.update.plant_check")
_ON_MICROPYTHON = sys.implementation.name == "micropython"


def unload_modules(on_trial: bool) -> None:
    """Drop the modules; they come back by themselves. `on_trial`: keep those that watch one."""
    _unload(MESSAGE_MODULES if on_trial else MESSAGE_MODULES + _TRIAL_MODULES)


def unload_verifier() -> None:
    """Drop what has been done with before a message is acted on: verification, the most of it."""
    _unload(_SIGNATURE_MODULES)


def _unload(names: "tuple[str, ...]") -> None:
    if not _ON_MICROPYTHON:
        return
    for full_name in names:
        if full_name in sys.modules:
            del sys.modules[full_name]
            package, _, name = full_name.rpartition(".")
            if hasattr(sys.modules.get(package), name):
                delattr(sys.modules[package], name)
    gc.collect()
