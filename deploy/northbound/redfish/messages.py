# SPDX-License-Identifier: Apache-2.0
"""Messages of the Base registry of Redfish (DSP0268) that the service sends, and their errors.

Does not have the messages of alarms; see `deploy.northbound.redfish.registry`. `RedfishError` ends
the handling of a request; the service makes the answer from it.
"""

from collections.abc import Sequence
from typing import Any

BASE = "Base.1.18"
_REGISTRY: dict[str, tuple[str, str, str]] = {
    "Success": ("OK", "The request completed successfully.", "None."),
    "Created": ("OK", "The resource was created successfully.", "None."),
    "GeneralError": (
        "Critical",
        "A general error has occurred.  See Resolution for information on how to resolve the "
        "error, or @Message.ExtendedInfo if Resolution is not provided.",
        "None.",
    ),
    "NoOperation": (
        "Warning",
        "The request body submitted contain no data to act upon and no changes to the resource "
        "took place.",
        "Add properties in the JSON object and resubmit the request.",
    ),
    "PropertyUnknown": (
        "Warning",
        "The property %1 is not in the list of valid properties for the resource.",
        "Remove the unknown property from the request body and resubmit the request.",
    ),
    "PropertyNotWritable": (
        "Warning",
        "The property %1 is a read-only property and cannot be assigned a value.",
        "Remove the property from the request body and resubmit the request.",
    ),
    "PropertyMissing": (
        "Warning",
        "The property %1 is a required property and must be included in the request.",
        "Ensure that the property is in the request body and has a valid value.",
    ),
    "PropertyValueTypeError": (
        "Warning",
        "The value '%1' for the property %2 is not a type that the property can accept.",
        "Correct the value for the property in the request body and resubmit the request.",
    ),
    "PropertyValueNotInList": (
        "Warning",
        "The value '%1' for the property %2 is not in the list of acceptable values.",
        "Choose a value from the enumeration list that the implementation can support.",
    ),
    "PropertyValueOutOfRange": (
        "Warning",
        "The value '%1' for the property %2 is not in the supported range of acceptable values.",
        "Correct the value for the property in the request body and resubmit the request.",
    ),
    "PropertyValueFormatError": (
        "Warning",
        "The value '%1' for the property %2 is not a format that the property can accept.",
        "Correct the value for the property in the request body and resubmit the request.",
    ),
    "PropertyValueConflict": (
        "Warning",
        "The property '%1' could not be written because its value would conflict with the value "
        "of the '%2' property.",
        "No resolution is required.",
    ),
    "ActionParameterMissing": (
        "Critical",
        "The action %1 requires that the parameter %2 be present in the request body.",
        "Supply the action with the required parameter in the request body.",
    ),
    "ActionParameterValueNotInList": (
        "Warning",
        "The value '%1' for the parameter %2 in the action %3 is not in the list of acceptable "
        "values.",
        "Choose a value from the enumeration list that the implementation can support.",
    ),
    "MalformedJSON": (
        "Critical",
        "The request body submitted was malformed JSON and could not be parsed by the receiving "
        "service.",
        "Ensure that the request body is valid JSON and resubmit the request.",
    ),
    "UnrecognizedRequestBody": (
        "Warning",
        "The service detected a malformed request body that it was unable to interpret.",
        "Correct the request body and resubmit the request if it failed.",
    ),
    "ResourceMissingAtURI": (
        "Critical",
        "The resource at the URI '%1' was not found.",
        "Place a valid resource at the URI or correct the URI and resubmit the request.",
    ),
    "OperationNotAllowed": (
        "Critical",
        "The HTTP method is not allowed on this resource.",
        "None.",
    ),
    "InsufficientPrivilege": (
        "Critical",
        "There are insufficient privileges for the account or credentials associated with the "
        "current session to perform the requested operation.",
        "Either abandon the operation or change the associated access rights and resubmit the "
        "request if the operation failed.",
    ),
    "NoValidSession": (
        "Critical",
        "There is no valid session established with the implementation.",
        "Establish a session before attempting any operations.",
    ),
    "PasswordChangeRequired": (
        "Critical",
        "The password provided for this account must be changed before access is granted.  PATCH "
        "the Password property for this account located at the target URI '%1' to complete this "
        "process.",
        "Change the password for this account using a PATCH to the Password property at the URI "
        "provided.",
    ),
    "PreconditionFailed": (
        "Critical",
        "The ETag supplied did not match the ETag required to change this resource.",
        "Try the operation again using the appropriate ETag.",
    ),
    "QueryNotSupported": (
        "Warning",
        "Querying is not supported by the implementation.",
        "Remove the query parameters and resubmit the request if the operation failed.",
    ),
    "QueryParameterValueFormatError": (
        "Warning",
        "The value '%1' for the parameter %2 is not a format that the parameter can accept.",
        "Correct the value for the query parameter in the request and resubmit the request.",
    ),
    "QueryNotSupportedOnResource": (
        "Warning",
        "Querying is not supported on the requested resource.",
        "Remove the query parameters and resubmit the request if the operation failed.",
    ),
    "ResourceAlreadyExists": (
        "Critical",
        "The requested resource of type %1 with the property %2 with the value '%3' already "
        "exists.",
        "Do not repeat the create operation as the resource has already been created.",
    ),
    "CreateLimitReachedForResource": (
        "Critical",
        "The create operation failed because the resource has reached the limit of possible "
        "resources.",
        "Either delete resources and resubmit the request or do not resubmit the request.",
    ),
    "ServiceTemporarilyUnavailable": (
        "Critical",
        "The service is temporarily unavailable.  Retry in %1 seconds.",
        "Wait for the indicated retry duration and retry the operation.",
    ),
    "ActionNotSupported": (
        "Critical",
        "The action %1 is not supported by the resource.",
        "The action supplied cannot be resubmitted to the implementation.",
    ),
}  # fmt: skip

Json = dict[str, Any]


def message(key: str, *args: object, related: Sequence[str] = ()) -> Json:
    """Return a message of the Base registry. `related`: names of the properties that it is about."""
    severity, text, resolution = _REGISTRY[key]
    for number, arg in enumerate(args, 1):
        text = text.replace(f"%{number}", str(arg))
    found: Json = {
        "@odata.type": "#Message.v1_1_2.Message",
        "MessageId": f"{BASE}.{key}",
        "Message": text,
        "MessageArgs": [str(arg) for arg in args],
        "MessageSeverity": severity,
        "Resolution": resolution,
    }
    if related:
        found["RelatedProperties"] = [f"/{name}" for name in related]
    return found


class RedfishError(Exception):
    """A request that the service refuses: status code, messages, further header fields."""

    def __init__(
        self, status: int, *messages: Json, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(messages[0]["Message"] if messages else str(status))
        self.status = status
        self.messages = list(messages) or [message("GeneralError")]
        self.headers = headers or {}

    def body(self) -> Json:
        """Return the body of the answer."""
        first = self.messages[0]
        return {
            "error": {
                "code": first["MessageId"],
                "message": first["Message"],
                "@Message.ExtendedInfo": self.messages,
            }
        }


def not_found(path: str) -> RedfishError:
    """Return the error of an unknown path."""
    return RedfishError(404, message("ResourceMissingAtURI", path))
