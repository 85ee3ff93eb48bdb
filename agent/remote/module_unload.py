# SPDX-License-Identifier: Apache-2.0
"""Unload code that only messages need. On a board it is loaded with a message and dropped
afterwards.

Does nothing on CPython.

The code that reads, verifies and executes a message is larger than all control loops. Between
messages a board needs this memory. The modules are imported where they are used; `unload_modules`
drops the modules that nothing refers to.
"""

from agent.core.module_unload import drop_modules

MESSAGE_MODULES = (
    "agent.core.schema.outputs",
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
    "agent.remote.message.steps",
    "agent.remote.update.live_change",
    "agent.remote.decommission",
    "agent.remote.report_signer",
    "protocols.signing.report",
    "protocols.signing.ed25519_sign",
    "protocols.signing.ed25519",
    "protocols.signing.sha512",
)
_SIGNATURE_MODULES = (
    "agent.remote.message.verifier",
    "agent.remote.message.keyring",
    "agent.remote.report_signer",
    "protocols.signing.report",
    "protocols.signing.ed25519_sign",
    "protocols.signing.ed25519",
    "protocols.signing.sha512",
)
_TRIAL_MODULES = ("agent.remote.update.trial", "agent.remote.update.plant_check")


def unload_modules(on_trial: bool, collects: bool = True) -> None:
    """Drop the modules; an import loads them again.

    `on_trial`: keep those of a trial. `collects`: see `drop_modules`.
    """
    drop_modules(MESSAGE_MODULES if on_trial else MESSAGE_MODULES + _TRIAL_MODULES, collects)


def unload_verifier() -> None:
    """Drop the code of the verification, which is done before a message is executed."""
    drop_modules(_SIGNATURE_MODULES)
