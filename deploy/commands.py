"""The commands of deploy: `config`, the operators' side of a fleet; `relay`; `doctor`.

Not a place for logic: each subcommand is a module of its own (see `drivers.tools.family`).
"""

from deploy.errors import DeployError
from drivers.tools.family import Family
from protocols.errors import ProtocolError

CONFIG: dict[str, tuple[str, str]] = {
    "check": ("deploy.ops.config_check", "is a configuration file good"),
    "keygen": ("deploy.ops.config_keygen", "make an operator's key"),
    "sign": ("deploy.ops.config_sign", "a signed change as a file"),
    "push": ("deploy.ops.config_push", "a signed change to units, canaries first"),
    "show": ("deploy.ops.config_show", "what a unit runs, and what is on trial"),
    "watch": ("deploy.ops.config_watch", "a line for each change in what units report"),
    "diff": ("deploy.ops.config_diff", "what a unit runs, beside a file"),
    "confirm": ("deploy.ops.config_confirm", "make what is on trial the confirmed one"),
    "rollback": ("deploy.ops.config_rollback", "give up what is on trial"),
    "pki": ("deploy.ops.config_pki", "certificates: create, issue, revoke, rotate"),
    "update": ("deploy.ops.config_update", "an application update to a unit, piece by piece"),
    "history": ("deploy.ops.config_history", "who did what on a unit, when, with what result"),
    "command": ("deploy.ops.config_command", "a signed command"),
    "decommission": ("deploy.ops.config_decommission", "have a unit erase itself and end"),
}


def relay(argv: list[str]) -> int:
    """The ground relay."""
    from deploy.relay.command import run

    return run(argv)


def doctor(argv: list[str]) -> int:
    """Is this controller fit to run the agent?"""
    from deploy.doctor.command import run

    return run(argv)


def config(argv: list[str]) -> int:
    """Operators: keys, changes, rollouts."""
    return Family("config", CONFIG, "check unit.json", (DeployError, ProtocolError)).call(argv)


FIRMWARE: dict[str, tuple[str, str]] = {
    "build": ("deploy.firmware.command_build", "an image for a board"),
    "run": ("deploy.firmware.command_run", "an image under QEMU, its UARTs on terminals"),
    "flash": ("deploy.firmware.command_flash", "an image and a configuration onto a board"),
}


def firmware(argv: list[str]) -> int:
    """MicroPython images."""
    errors = (DeployError, ProtocolError)
    return Family("firmware", FIRMWARE, "build --board qemu-mps2", errors).call(argv)
