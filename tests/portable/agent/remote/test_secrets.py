"""A secret of the configuration leaves the unit in no form: not in logs, dumps, telemetry, reports.

Only the stored configuration itself holds it, in the folder that the unit alone may read.
"""

from agent.config.load import load
from agent.config.schema import with_parts
from agent.core.errors import ConfigError
from agent.core.registry import COMPONENTS
from agent.remote.message.canonical import SECRETS, shown
from tests.portable.support.agent_rig import profiles
from tests.portable.support.check import eq, raises
from tests.portable.support.remote_rig import (
    LIMITER,
    OPERATOR,
    SETPOINT,
    RemoteRig,
    a_command,
    a_patch,
)
from tests.portable.support.remote_rig import remote_config as file

HEAP = "512wK"
HUSH, LATER = "hush-hush-1", "hush-hush-2"
_WORDS = ("password", "secret", "token", "passphrase", "credential", "pin")


def secret_config():
    raw = file()
    raw["broker"].update({"username": "unit", "password": HUSH})
    return raw


def left(rig):
    """All that left the unit but for its stored configuration, as one text."""
    said = [payload for _, _, payload in rig.broker.published]
    said += [rig.state, repr(rig.console).encode()]
    said += [rig.store.records[key] for key in rig.store.records if not key.startswith("config.")]
    return b"".join(said)


def test_no_secret_leaves_in_any_form():
    rig = RemoteRig(secret_config())
    rig.run(70)
    assert rig.broker.connects, "the broker is told the password, and nobody else"
    rig.send(a_patch(rig, [("broker.password", LATER), (SETPOINT, 33)], (OPERATOR, LIMITER)))
    rig.run(5)
    rig.send(a_patch(rig, [("broker.password", 7)], (OPERATOR, LIMITER), 1_795_500_001))
    rig.send(a_command("fetch"))
    rig.run(5)
    told = left(rig)
    assert len(told) > 3000, len(told)
    for secret in (HUSH, LATER):
        assert secret.encode() not in told
    topics = sorted({topic.split("/", 4)[4] for _, topic, _ in rig.broker.published})
    eq([t for t in ("cfg/config", "tele", "cfg/record/audit.0", "state") if t not in topics], [])


def test_what_is_shown_has_no_secret_at_any_depth():
    raw = {"a": [{"password": "x", "b": 1}], "c": {"d": {"token": "y"}}, "broker": {"pin": 1}}
    eq(shown(raw), {"a": [{"b": 1}], "c": {"d": {}}, "broker": {}})


def test_an_error_does_not_quote_a_secret():
    for bad in (HUSH + "\n", [HUSH]):
        raw = secret_config()
        raw["broker"]["password"] = bad
        text = str(raises(ConfigError, load, raw, profiles()))
        assert "broker.password" in text
        assert HUSH not in text, text


def names(rule):
    """Every key that a schema names."""
    found = []
    for name in rule.get("properties", {}):
        found.append(name)
        found.extend(names(rule["properties"][name]))
    for word in ("items", "values"):
        if word in rule:
            found.extend(names(rule[word]))
    return found


def test_every_key_of_the_schema_that_sounds_secret_is_one():
    keys = names(with_parts([spec.section for spec in COMPONENTS]))
    assert len(keys) > 150, len(keys)
    loud = [key for key in keys if [word for word in _WORDS if word in key.split("_")]]
    eq([key for key in loud if key not in SECRETS], [])
