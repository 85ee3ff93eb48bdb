# SPDX-License-Identifier: Apache-2.0
"""A secret of the configuration never leaves the unit: not in logs, dumps, telemetry or reports.

Only the stored configuration holds it, in a folder that only the unit can read.
"""

from agent.config.load import load
from agent.config.schema import with_components
from agent.core.component.registry import COMPONENTS
from agent.core.errors import ConfigError
from agent.remote.message.canonical import SECRETS, without_secrets
from tests.portable.support.agent_rig import profiles
from tests.portable.support.check import eq, raises
from tests.portable.support.remote_rig import (
    LIMITER,
    OPERATOR,
    SETPOINT,
    RemoteRig,
    make_command,
    make_patch,
)
from tests.portable.support.remote_rig import remote_config as file

SECRET_1, SECRET_2 = "hush-hush-1", "hush-hush-2"
_WORDS = ("password", "secret", "token", "passphrase", "credential", "pin")


def secret_config():
    raw = file()
    raw["broker"].update({"username": "unit", "password": SECRET_1})
    return raw


def sent_texts(rig):
    """Return all data that left the unit, without its stored configuration, as one text."""
    texts = [payload for _, _, payload in rig.broker.published]
    texts += [rig.state, repr(rig.console).encode()]
    texts += [rig.store.records[key] for key in rig.store.records if not key.startswith("config.")]
    return b"".join(texts)


def test_no_secret_is_sent_in_any_form():
    rig = RemoteRig(secret_config())
    rig.run(70)
    assert rig.broker.connects, "the broker is told the password, and nobody else"
    rig.send(make_patch(rig, [("broker.password", SECRET_2), (SETPOINT, 33)], (OPERATOR, LIMITER)))
    rig.run(5)
    rig.send(make_patch(rig, [("broker.password", 7)], (OPERATOR, LIMITER), 1_795_500_001))
    rig.send(make_command("fetch"))
    rig.run(5)
    sent = sent_texts(rig)
    assert len(sent) > 3000, len(sent)
    for secret in (SECRET_1, SECRET_2):
        assert secret.encode() not in sent
    topics = sorted({topic.split("/", 4)[4] for _, topic, _ in rig.broker.published})
    eq([t for t in ("cfg/config", "tele", "cfg/record/audit.0", "state") if t not in topics], [])


def test_published_configuration_has_no_secret_at_any_depth():
    raw = {"a": [{"password": "x", "b": 1}], "c": {"d": {"token": "y"}}, "broker": {"pin": 1}}
    eq(without_secrets(raw), {"a": [{"b": 1}], "c": {"d": {}}, "broker": {}})


def test_error_does_not_show_a_secret():
    for bad in (SECRET_1 + "\n", [SECRET_1]):
        raw = secret_config()
        raw["broker"]["password"] = bad
        text = str(raises(ConfigError, load, raw, profiles()))
        assert "broker.password" in text
        assert SECRET_1 not in text, text


def names(rule):
    """Return all keys of a schema."""
    found = []
    for name in rule.get("properties", {}):
        found.append(name)
        found.extend(names(rule["properties"][name]))
    for keyword in ("items", "values"):
        if keyword in rule:
            found.extend(names(rule[keyword]))
    return found


def test_each_key_with_a_secret_name_is_secret():
    keys = names(with_components([spec.section for spec in COMPONENTS]))
    assert len(keys) > 150, len(keys)
    suspects = [key for key in keys if [word for word in _WORDS if word in key.split("_")]]
    eq([key for key in suspects if key not in SECRETS], [])
