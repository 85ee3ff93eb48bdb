# SPDX-License-Identifier: Apache-2.0
"""A resource of the Redfish tree, the tree, and the records of a request and its answer.

Does not read requests; see `deploy.northbound.redfish.service`. A resource is data: its path, its
schema, a function that builds its body, and a function for each method that it accepts. Members of
a collection that come and go have a finder instead of an entry.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from deploy.northbound.access.types import AccountProof
from deploy.northbound.redfish.messages import Json
from deploy.northbound.redfish.schemas import type_name

ROOT = "/redfish/v1"
LOGIN, SELF, COMPONENTS = "Login", "ConfigureSelf", "ConfigureComponents"
MANAGER, USERS = "ConfigureManager", "ConfigureUsers"
PRIVILEGES = {
    "Administrator": (LOGIN, SELF, COMPONENTS, MANAGER, USERS),
    "Operator": (LOGIN, SELF, COMPONENTS),
    "ReadOnly": (LOGIN, SELF),
}
"""Role: its privileges."""
_VOLATILE = ("DateTime",)


@dataclass(frozen=True, slots=True)
class Call:
    """A request with its caller. `role`: "" without login. `session`: id of the session, or "".

    `changes`: number of changes of the account at the login.
    """

    path: str
    user: str = ""
    role: str = ""
    address: str = ""
    session: str = ""
    body: Json = field(default_factory=dict)
    must_change: bool = False
    query: Mapping[str, str] = field(default_factory=dict)
    changes: int = 0

    @property
    def proof(self) -> AccountProof:
        """Return what the login of the request has proved."""
        return AccountProof(self.user, self.changes)

    def may(self, privilege: str) -> bool:
        """Return whether the role of the caller has a privilege."""
        return privilege in PRIVILEGES.get(self.role, ())


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. `body` None: no content."""

    status: int = 200
    body: Json | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


CheckValue = Callable[[Any], Json | None]
"""Returns the message of a value that is refused; None: the value is accepted."""


@dataclass(frozen=True, slots=True)
class PropertyPatch:
    """Writable properties. `apply` gets the accepted values; None: the answer is the resource."""

    properties: Mapping[str, CheckValue]
    apply: Callable[[Call, Json], Reply | None]
    privilege: str = COMPONENTS


@dataclass(frozen=True, slots=True)
class Method:
    """POST or DELETE of a resource. `privilege` "": open without login."""

    run: Callable[[Call], Reply]
    privilege: str = COMPONENTS


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource. `build` None: the path is an action. `owner`: this user may use it too.

    `live`: properties that change by themselves; they do not change the entity tag.
    """

    path: str
    schema: str
    name: str
    build: Callable[[], Json] | None
    patch: PropertyPatch | None = None
    post: Method | None = None
    delete: Method | None = None
    read: str = LOGIN
    owner: str = ""
    id: str = ""
    expanded: bool = False
    live: tuple[str, ...] = ()

    @property
    def allow(self) -> str:
        """Return the methods of the resource, for the header Allow."""
        names = ["GET", "HEAD"] if self.build else []
        names += [
            name
            for name, part in (("PATCH", self.patch), ("POST", self.post), ("DELETE", self.delete))
            if part is not None
        ]
        return ", ".join(names)

    def body(self) -> Json:
        """Build the whole body with its annotations."""
        content = self.build() if self.build else {}
        found: Json = {"@odata.id": self.path, "@odata.type": type_name(self.schema)}
        if not self.schema.endswith("Collection"):
            found["Id"] = self.id or self.path.rsplit("/", 1)[1]
        found["Name"] = self.name
        found.update(content)
        found["@odata.etag"] = etag({k: v for k, v in found.items() if k not in self.live})
        return found


def etag(body: Json) -> str:
    """Return the entity tag of a body; the time of day does not change it."""
    stable = {key: value for key, value in body.items() if key not in _VOLATILE}
    text = json.dumps(stable, sort_keys=True, separators=(",", ":"))
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:16]}"'


Finder = Callable[[str], Resource | None]


class ResourceTree:
    """All resources by path."""

    def __init__(self) -> None:
        self._fixed: dict[str, Resource] = {}
        self._finders: dict[str, Finder] = {}

    def add(self, *resources: Resource) -> None:
        """Add resources with fixed paths."""
        for resource in resources:
            if resource.path in self._fixed:
                raise ValueError(f"{resource.path}: two resources")
            self._fixed[resource.path] = resource

    def add_members(self, parent: str, finder: Finder) -> None:
        """Add a finder for the paths below `parent`; it gets the last part of the path."""
        self._finders[parent] = finder

    def find(self, path: str) -> Resource | None:
        """Return the resource of a path, with or without a slash at the end."""
        path = path.rstrip("/")
        resource = self._fixed.get(path)
        if resource is None:
            parent, _, last = path.rpartition("/")
            finder = self._finders.get(parent)
            if finder is not None and last:
                resource = finder(last)
        return resource


def link(path: str) -> Json:
    """Return a reference to a resource."""
    return {"@odata.id": path}


def collection(
    path: str,
    schema: str,
    name: str,
    members: Callable[[], Iterable[str]],
    post: Method | None = None,
    *,
    read: str = LOGIN,
) -> Resource:
    """Return a collection whose members are given by the last part of their paths."""

    def build() -> Json:
        found = [link(f"{path}/{member}") for member in members()]
        return {"Members@odata.count": len(found), "Members": found}

    return Resource(path, schema, name, build, post=post, read=read)


def action(path: str, run: Callable[[Call], Reply], privilege: str = MANAGER) -> Resource:
    """Return the resource of an action: it accepts POST."""
    return Resource(path, "", path.rsplit(".", 1)[-1], None, post=Method(run, privilege))
