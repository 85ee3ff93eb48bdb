# SPDX-License-Identifier: Apache-2.0
"""AccountService and SessionService: accounts, roles and sessions.

Does not keep them; see `deploy.northbound.access`. The password of a GET is null. A user without
ConfigureUsers sees and changes only the own account, and there only the password.
"""

import re
from collections.abc import Callable
from typing import Any

from deploy.northbound.access.accounts import CHANGED_MEANWHILE
from deploy.northbound.access.password import MAX_LENGTH, MIN_LENGTH
from deploy.northbound.access.types import ROLES, Refusal, Session
from deploy.northbound.http.login import AccountStore, AccountView, SessionStore
from deploy.northbound.redfish.messages import Json, RedfishError, message
from deploy.northbound.redfish.resource import (
    LOGIN,
    MANAGER,
    PRIVILEGES,
    ROOT,
    SELF,
    USERS,
    Call,
    CheckValue,
    Method,
    PropertyPatch,
    Reply,
    Resource,
    ResourceTree,
    collection,
    link,
)

ACCOUNTS = f"{ROOT}/AccountService/Accounts"
SESSIONS = f"{ROOT}/SessionService/Sessions"
_ROLES = f"{ROOT}/AccountService/Roles"
_USER = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,31}")
_IDLE_S = (30, 86_400)


class AccountResources:
    """Adds AccountService and SessionService to a tree. `changed`: called after each change."""

    def __init__(
        self,
        tree: ResourceTree,
        accounts: AccountStore,
        sessions: SessionStore,
        changed: Callable[[], None],
    ) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._changed = changed
        service = f"{ROOT}/AccountService"
        tree.add(
            Resource(service, "AccountService", "Account service", self._service),
            collection(ACCOUNTS, "ManagerAccountCollection", "Accounts",
                       lambda: [account.user for account in accounts.all()],
                       Method(self._create, USERS)),
            collection(_ROLES, "RoleCollection", "Roles", lambda: ROLES),
            Resource(f"{ROOT}/SessionService", "SessionService", "Session service",
                     self._session_service,
                     PropertyPatch({"SessionTimeout": _check_idle}, self._set_idle, MANAGER)),
            collection(SESSIONS, "SessionCollection", "Sessions",
                       lambda: [session.id for session in sessions.all()]),
        )  # fmt: skip
        for role in ROLES:
            tree.add(Resource(f"{_ROLES}/{role}", "Role", f"Role {role}",
                              lambda role=role: _role(role)))  # type: ignore[misc]  # fmt: skip
        tree.add_members(ACCOUNTS, self._find_account)
        tree.add_members(SESSIONS, self._find_session)

    def _service(self) -> Json:
        return {
            "ServiceEnabled": True,
            "Status": {"State": "Enabled", "Health": "OK"},
            "MinPasswordLength": MIN_LENGTH,
            "MaxPasswordLength": MAX_LENGTH,
            "AccountLockoutThreshold": 5,
            "AccountLockoutDuration": 60,
            "AccountLockoutCounterResetAfter": 60,
            "SupportedAccountTypes": ["Redfish"],
            "Accounts": link(ACCOUNTS),
            "Roles": link(_ROLES),
        }

    def _find_account(self, user: str) -> Resource | None:
        account = next((entry for entry in self._accounts.all() if entry.user == user), None)
        if account is None:
            return None
        properties: dict[str, CheckValue] = {
            "Password": _check_password,
            "RoleId": lambda value: _check_choice("RoleId", value, ROLES),
            "Enabled": lambda value: _check_flag("Enabled", value),
            "Locked": _check_unlock,
            "UserName": _check_user,
        }
        return Resource(
            f"{ACCOUNTS}/{user}",
            "ManagerAccount",
            f"Account {user}",
            lambda: _account(account),
            PropertyPatch(properties, lambda call, values: self._change(user, call, values), SELF),
            delete=Method(lambda call: self._remove(user, call), USERS),
            read=USERS,
            owner=user,
        )

    def _create(self, call: Call) -> Reply:
        """Add an account that is as asked: what cannot be done is refused, not left out."""
        body, problems = call.body, []
        for name, check in _NEW.items():
            if name in body:
                problem = check(body[name])
                problems += [problem] if problem else []
            elif name in _REQUIRED:
                problems.append(message("PropertyMissing", name, related=[name]))
        problems += [
            message("PropertyUnknown", name[:80], related=[name[:80]])
            for name in body
            if name not in _NEW and "@" not in name
        ]
        if problems:
            raise RedfishError(400, *problems)
        self._require(
            self._accounts.add(
                body["UserName"],
                body["Password"],
                body["RoleId"],
                body.get("Enabled", True),
                body.get("PasswordChangeRequired", False),
                by=call.proof,
            ),
            "UserName",
        )
        self._changed()
        resource = self._find_account(body["UserName"])
        path = f"{ACCOUNTS}/{body['UserName']}"
        return Reply(201, resource.body() if resource else {}, {"Location": path})

    def _change(self, user: str, call: Call, values: Json) -> None:
        if not call.may(USERS) and (call.user != user or set(values) != {"Password"}):
            raise RedfishError(403, message("InsufficientPrivilege"))
        refusal = self._accounts.change(
            user,
            name=values.get("UserName"),
            password=values.get("Password"),
            role=values.get("RoleId"),
            enabled=values.get("Enabled"),
            unlock=values.get("Locked") is False,
            by=call.proof,
        )
        self._require(refusal, next(iter(values)))
        self._changed()

    def _remove(self, user: str, call: Call) -> Reply:
        if not call.may(USERS):  # the owner may read and set the password, no more
            raise RedfishError(403, message("InsufficientPrivilege"))
        self._require(self._accounts.remove(user, by=call.proof), "UserName")
        self._changed()
        return Reply(204)

    def _require(self, refusal: Refusal | None, name: str) -> None:
        if refusal is not None and refusal.storage:
            raise RedfishError(507, {**message("GeneralError"), "Message": refusal.reason})
        if refusal is not None and refusal.reason == CHANGED_MEANWHILE:
            raise RedfishError(409, {**message("GeneralError"), "Message": refusal.reason})
        if refusal is not None:
            name = "Password" if "password" in refusal.reason else name
            text = message("PropertyValueConflict", name, "UserName", related=[name])
            raise RedfishError(400, {**text, "Message": refusal.reason})

    # --- sessions -------------------------------------------------------------------------------

    def _session_service(self) -> Json:
        return {
            "ServiceEnabled": True,
            "SessionTimeout": self._sessions.idle_s,
            "Status": {"State": "Enabled", "Health": "OK"},
            "Sessions": link(SESSIONS),
        }

    def _set_idle(self, _call: Call, values: Json) -> None:
        self._require(self._sessions.set_idle(values["SessionTimeout"]), "SessionTimeout")

    def _find_session(self, number: str) -> Resource | None:
        session = next((entry for entry in self._sessions.all() if entry.id == number), None)
        if session is None:
            return None
        return Resource(
            f"{SESSIONS}/{number}",
            "Session",
            f"Session of {session.user}",
            lambda: session_content(session),
            delete=Method(lambda call: self._close(session, call), SELF),
            owner=session.user,
            read=LOGIN,
        )

    def _close(self, session: Session, call: Call) -> Reply:
        if call.user != session.user and not call.may(USERS):
            raise RedfishError(403, message("InsufficientPrivilege"))
        self._sessions.close(session.id)
        return Reply(204)


def session_content(session: Session) -> Json:
    """Return the content of a session, without its token."""
    return {
        "UserName": session.user,
        "Password": None,
        "ClientOriginIPAddress": session.address,
    }


def _account(account: AccountView) -> Json:
    return {
        "UserName": account.user,
        "Password": None,
        "PasswordChangeRequired": account.must_change,
        "RoleId": account.role,
        "Enabled": account.enabled,
        "Locked": account.locked,
        "AccountTypes": ["Redfish"],
        "Links": {"Role": link(f"{_ROLES}/{account.role}")},
    }


def _role(role: str) -> Json:
    return {"RoleId": role, "IsPredefined": True, "AssignedPrivileges": list(PRIVILEGES[role]),
            "OemPrivileges": []}  # fmt: skip


def _wrong_type(name: str) -> Json:
    return message("PropertyValueTypeError", "...", name, related=[name])


def _check_password(value: Any) -> Json | None:
    if not isinstance(value, str):
        return _wrong_type("Password")
    if not MIN_LENGTH <= len(value) <= MAX_LENGTH:
        text = message("PropertyValueFormatError", "...", "Password", related=["Password"])
        span = f"{MIN_LENGTH} to {MAX_LENGTH} characters"
        return {**text, "Resolution": f"A password has {span}."}
    return None


def _check_user(value: Any) -> Json | None:
    if not isinstance(value, str):
        return _wrong_type("UserName")
    if _USER.fullmatch(value) is None:
        return message("PropertyValueFormatError", value[:40], "UserName", related=["UserName"])
    return None


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> Json | None:
    if value in choices:
        return None
    return message("PropertyValueNotInList", str(value)[:40], name, related=[name])


def _check_flag(name: str, value: Any) -> Json | None:
    return None if isinstance(value, bool) else _wrong_type(name)


def _check_unlock(value: Any) -> Json | None:
    return None if value is False else _wrong_type("Locked")


def _check_idle(value: Any) -> Json | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return _wrong_type("SessionTimeout")
    if not _IDLE_S[0] <= value <= _IDLE_S[1]:
        return message("PropertyValueOutOfRange", value, "SessionTimeout",
                       related=["SessionTimeout"])  # fmt: skip
    return None


def _check_types(value: Any) -> Json | None:
    return None if value == ["Redfish"] else _wrong_type("AccountTypes")


_REQUIRED = ("UserName", "Password", "RoleId")
_NEW: dict[str, CheckValue] = {
    "UserName": _check_user,
    "Password": _check_password,
    "RoleId": lambda value: _check_choice("RoleId", value, ROLES),
    "Enabled": lambda value: _check_flag("Enabled", value),
    "PasswordChangeRequired": lambda value: _check_flag("PasswordChangeRequired", value),
    "Locked": _check_unlock,
    "AccountTypes": _check_types,
}
"""Properties of a new account."""
