# SPDX-License-Identifier: Apache-2.0
"""CertificateService: the certificate of the HTTPS server, its CSR and its replacement.

Does not handle keys; see `deploy.northbound.http.certificate`.
"""

from datetime import datetime, timedelta
from typing import Any

from deploy.errors import OpsError
from deploy.northbound.http.certificate import SUBJECT, CertificateStore
from deploy.northbound.redfish.messages import Json, RedfishError, message
from deploy.northbound.redfish.resource import (
    ROOT,
    Call,
    Reply,
    Resource,
    ResourceTree,
    action,
    collection,
    link,
)
from deploy.northbound.redfish.sensors import MANAGER, SensorModel, utc_text

_SERVICE = f"{ROOT}/CertificateService"
CERTIFICATES = f"{MANAGER}/NetworkProtocol/HTTPS/Certificates"
_CERTIFICATE = f"{CERTIFICATES}/1"
_CSR = f"{_SERVICE}/Actions/CertificateService.GenerateCSR"
_REPLACE = f"{_SERVICE}/Actions/CertificateService.ReplaceCertificate"
_CSR_INFO = f"{_SERVICE}/GenerateCSRActionInfo"
_REPLACE_INFO = f"{_SERVICE}/ReplaceCertificateActionInfo"
_REQUIRED = ("CommonName", "Organization", "OrganizationalUnit", "City", "State", "Country")
_MAX_NAMES = 16


class CertificateResources:
    """Adds the CertificateService to a tree."""

    def __init__(self, tree: ResourceTree, sensors: SensorModel, store: CertificateStore) -> None:
        self._sensors, self._store = sensors, store
        tree.add(
            Resource(_SERVICE, "CertificateService", "Certificate service", _service),
            Resource(f"{_SERVICE}/CertificateLocations", "CertificateLocations",
                     "Certificate locations",
                     lambda: {"Links": {"Certificates": [link(_CERTIFICATE)]}}),
            Resource(_CSR_INFO, "ActionInfo", "Parameters of GenerateCSR",
                     lambda: {"Parameters": _csr_parameters()}),
            Resource(_REPLACE_INFO, "ActionInfo", "Parameters of ReplaceCertificate",
                     lambda: {"Parameters": _replace_parameters()}),
            collection(CERTIFICATES, "CertificateCollection", "Certificates of HTTPS",
                       lambda: ["1"]),
            Resource(_CERTIFICATE, "Certificate", "Certificate of HTTPS", self._certificate),
            action(_CSR, self._make_request),
            action(_REPLACE, self._replace),
        )  # fmt: skip

    def _certificate(self) -> Json:
        found = self._store.describe()
        return {
            "CertificateString": self._store.pem,
            "CertificateType": "PEM" if self._store.pem.count("BEGIN") == 1 else "PEMchain",
            "Issuer": found.issuer,
            "Subject": found.subject,
            "ValidNotBefore": utc_text(found.not_before),
            "ValidNotAfter": utc_text(found.not_after),
            "SerialNumber": _octets(found.serial_number),
            "Fingerprint": found.fingerprint,
            "FingerprintHashAlgorithm": "TPM_ALG_SHA256",
        }

    def _make_request(self, call: Call) -> Reply:
        body, name = call.body, "CertificateService.GenerateCSR"
        for parameter in ("CertificateCollection", *_REQUIRED):
            if parameter not in body:
                raise RedfishError(400, message("ActionParameterMissing", name, parameter))
        if _path(body["CertificateCollection"]) != CERTIFICATES:
            raise _not_in_list(body["CertificateCollection"], "CertificateCollection", name)
        for parameter, value in (("KeyPairAlgorithm", "TPM_ALG_ECDSA"),
                                 ("KeyCurveId", "TPM_ECC_NIST_P256")):  # fmt: skip
            if body.get(parameter, value) != value:
                raise _not_in_list(body[parameter], parameter, name)
        names = body.get("AlternativeNames") or []
        if not isinstance(names, list) or len(names) > _MAX_NAMES:
            raise _not_in_list(names, "AlternativeNames", name)
        subject = {key: body[key] for key in _REQUIRED}
        if not all(isinstance(value, str) for value in [*subject.values(), *names]):
            raise _not_in_list("...", "CommonName", name)
        try:
            text = self._store.make_request(subject, names)
        except OpsError as error:
            raise RedfishError(400, {**message("GeneralError"), "Message": str(error)}) from error
        return Reply(200, {"CSRString": text, "CertificateCollection": link(CERTIFICATES)})

    def _replace(self, call: Call) -> Reply:
        body, name = call.body, "CertificateService.ReplaceCertificate"
        for parameter in ("CertificateString", "CertificateType", "CertificateUri"):
            if parameter not in body:
                raise RedfishError(400, message("ActionParameterMissing", name, parameter))
        if _path(body["CertificateUri"]) != _CERTIFICATE:
            raise _not_in_list(body["CertificateUri"], "CertificateUri", name)
        if body["CertificateType"] not in ("PEM", "PEMchain"):
            raise _not_in_list(body["CertificateType"], "CertificateType", name)
        if not isinstance(body["CertificateString"], str):
            raise _not_in_list("...", "CertificateString", name)
        try:
            self._store.replace(body["CertificateString"], self._utc())
        except OpsError as error:
            raise RedfishError(400, {**message("GeneralError"), "Message": str(error)}) from error
        return Reply(204, None, {"Location": _CERTIFICATE})

    def _utc(self) -> tuple[datetime, timedelta] | None:
        """Return UTC and its error bound; None: not known."""
        found = self._sensors.read()
        if found.utc is None or found.utc_bound_us is None:
            return None
        return found.utc, timedelta(microseconds=found.utc_bound_us)


def _service() -> Json:
    return {
        "CertificateLocations": link(f"{_SERVICE}/CertificateLocations"),
        "Actions": {
            "#CertificateService.GenerateCSR": {
                "target": _CSR, "@Redfish.ActionInfo": _CSR_INFO,
            },
            "#CertificateService.ReplaceCertificate": {
                "target": _REPLACE, "@Redfish.ActionInfo": _REPLACE_INFO,
            },
        },
    }  # fmt: skip


def _csr_parameters() -> list[Json]:
    found = [_parameter("CertificateCollection", "Object", required=True)]
    found += [_parameter(name, "String", required=True) for name in SUBJECT]
    found.append(_parameter("AlternativeNames", "StringArray"))
    found.append({**_parameter("KeyPairAlgorithm", "String"),
                  "AllowableValues": ["TPM_ALG_ECDSA"]})  # fmt: skip
    found.append({**_parameter("KeyCurveId", "String"),
                  "AllowableValues": ["TPM_ECC_NIST_P256"]})  # fmt: skip
    return found


def _replace_parameters() -> list[Json]:
    kinds = {**_parameter("CertificateType", "String", required=True),
             "AllowableValues": ["PEM", "PEMchain"]}  # fmt: skip
    return [_parameter("CertificateString", "String", required=True), kinds,
            _parameter("CertificateUri", "Object", required=True)]  # fmt: skip


def _parameter(name: str, kind: str, *, required: bool = False) -> Json:
    return {"Name": name, "DataType": kind, "Required": required}


def _path(value: Any) -> str:
    """Return the path of a reference; "": it is none."""
    found = value.get("@odata.id") if isinstance(value, dict) else None
    return found.rstrip("/") if isinstance(found, str) else ""


def _not_in_list(value: Any, parameter: str, name: str) -> RedfishError:
    text = str(value)[:80]
    return RedfishError(400, message("ActionParameterValueNotInList", text, parameter, name))


def _octets(number: int) -> str:
    """Return a serial number as octets with colons."""
    text = f"{number:X}"
    text = text.zfill(len(text) + len(text) % 2)
    return ":".join(text[at : at + 2] for at in range(0, len(text), 2))
