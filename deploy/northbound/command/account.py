# SPDX-License-Identifier: Apache-2.0
"""`coldloop northbound account`: list, add, change and remove accounts of the servers."""

import argparse
import getpass
import json
import os
import sys

from deploy.errors import OpsError
from deploy.northbound.access.accounts import Accounts, UserAccount
from deploy.northbound.access.audit import ServerAudit
from deploy.northbound.access.types import ROLES, Refusal
from deploy.northbound.command.serve import CONFIG
from deploy.northbound.process.settings import read_settings

EXAMPLE = "coldloop northbound account add rita --role ReadOnly"
PASSWORD = "COLDLOOP_PASSWORD"  # noqa: S105 - name of a variable
_ACTIONS = ("list", "add", "password", "role", "enable", "disable", "unlock", "remove")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("action", choices=_ACTIONS, help="what to do")
    parser.add_argument("user", metavar="USER", nargs="?", default="", help="name of the account")
    parser.add_argument("--role", choices=ROLES, default=ROLES[0], help=f"({ROLES[0]})")
    parser.add_argument("--config", metavar="FILE", default=CONFIG, help=f"({CONFIG})")
    parser.add_argument("--state", metavar="FOLDER", default="", help="folder of the accounts")
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")


def run(arguments: argparse.Namespace) -> int:
    """Do the action; 1 if it is refused."""
    settings = read_settings(arguments.config, arguments.state)
    if not settings.state.is_dir():
        raise OpsError(f"{settings.state}: no such folder; start the server once")
    accounts = Accounts(settings.state, ServerAudit(settings.state, "account"))
    if arguments.action == "list":
        for account in accounts.all():
            if arguments.json:
                print(json.dumps(_to_json(account)))
                continue
            marks = ["" if account.enabled else "disabled", "initial" * account.must_change]
            print(f"{account.user:<33}{account.role:<15}{' '.join(filter(None, marks))}".rstrip())
        return 0
    if not arguments.user:
        raise OpsError(f"{arguments.action} needs the name of an account")
    refusal = _act(accounts, arguments)
    ServerAudit(settings.state, "account").record(
        "root", "local", "command", f"account {arguments.action}", arguments.user,
        "done" if refusal is None else f"refused: {refusal.reason}",
    )  # fmt: skip
    if arguments.json:
        reason = None if refusal is None else refusal.reason
        record = {"user": arguments.user, "action": arguments.action, "refused": reason}
        print(json.dumps(record))
    elif refusal is not None:
        print(refusal.reason, file=sys.stderr)
    return 0 if refusal is None else 1


def _to_json(account: UserAccount) -> dict[str, object]:
    return {
        "user": account.user,
        "role": account.role,
        "enabled": account.enabled,
        "must_change": account.must_change,
    }


def _act(accounts: Accounts, arguments: argparse.Namespace) -> Refusal | None:
    user, action = arguments.user, arguments.action
    if action == "add":
        return accounts.add(user, _ask_password(), arguments.role, must_change=True)
    if action == "password":
        return accounts.change(user, password=_ask_password())
    if action == "role":
        return accounts.change(user, role=arguments.role)
    if action in {"enable", "disable"}:
        return accounts.change(user, enabled=action == "enable")
    if action == "unlock":
        return accounts.change(user, unlock=True)
    return accounts.remove(user)


def _ask_password() -> str:
    """Return a password from the environment or the terminal."""
    preset = os.environ.get(PASSWORD)
    if preset:
        return preset
    if not sys.stdin.isatty():
        raise OpsError(f"no terminal for a password; set {PASSWORD}")
    first = getpass.getpass("password: ")
    if first != getpass.getpass("again: "):
        raise OpsError("the two passwords differ")
    return first
