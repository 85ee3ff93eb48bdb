"""The commands of deploy: `config`, the operators' side of a fleet; `relay`; `doctor`.

Not a place for logic: each subcommand is a module of its own (see
`drivers.tools.lib.command_group`).
"""

from deploy.errors import DeployError
from drivers.tools.lib.command_group import CommandGroup
from protocols.errors import ProtocolError

CONFIG: dict[str, tuple[str, str]] = {
    "check": ("deploy.ops.command.check", "is a configuration file good"),
    "keygen": ("deploy.ops.command.keygen", "make an operator's key"),
    "sign": ("deploy.ops.command.sign", "a signed change as a file"),
    "push": ("deploy.ops.command.push", "a signed change to units, canaries first"),
    "show": ("deploy.ops.command.show", "what a unit runs, and what is on trial"),
    "watch": ("deploy.ops.command.watch", "a line for each change in what units report"),
    "diff": ("deploy.ops.command.diff", "what a unit runs, beside a file"),
    "confirm": ("deploy.ops.command.confirm", "make what is on trial the confirmed one"),
    "rollback": ("deploy.ops.command.rollback", "give up what is on trial"),
    "pki": ("deploy.ops.command.pki", "certificates: create, issue, revoke, rotate"),
    "update": ("deploy.ops.command.update", "an application update to a unit, piece by piece"),
    "history": ("deploy.ops.command.history", "who did what on a unit, when, with what result"),
    "command": ("deploy.ops.command.command", "a signed command"),
    "decommission": ("deploy.ops.command.decommission", "have a unit erase itself and end"),
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
    return CommandGroup("config", CONFIG, "check unit.json", (DeployError, ProtocolError)).run(argv)


FIRMWARE: dict[str, tuple[str, str]] = {
    "build": ("deploy.firmware.command_build", "an image for a board"),
    "run": ("deploy.firmware.command_run", "an image under QEMU, its UARTs on terminals"),
    "flash": ("deploy.firmware.command_flash", "an image and a configuration onto a board"),
}


def firmware(argv: list[str]) -> int:
    """MicroPython images."""
    errors = (DeployError, ProtocolError)
    return CommandGroup("firmware", FIRMWARE, "build --board qemu-mps2", errors).run(argv)
