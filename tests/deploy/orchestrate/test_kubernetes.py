# SPDX-License-Identifier: Apache-2.0
"""Objects and patches for Kubernetes: a fake API server that checks the schema of Node."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.orchestrate.kubernetes import KubernetesActuator, KubernetesClient, KubernetesError
from deploy.orchestrate.kubernetes_objects import CONDITION, RESOURCE, TAINT
from deploy.orchestrate.reading import RowReading
from deploy.orchestrate.rules import DRAIN, FREE, SUSPEND, RowDecision
from deploy.orchestrate.settings import KubernetesSettings, RowSettings, RuleSettings
from tests.deploy.orchestrate.fake_kubernetes import FakeKubernetes, check_node, make_node

ROW = RowSettings("row1", ("a", "b"), 100.0, base_kw=10.0, status="-")
READING = RowReading(40e3, 50e3, "free", "normal", 1.0, "status")


@pytest.fixture
def api() -> Iterator[FakeKubernetes]:
    made = FakeKubernetes(["a", "b"], "secret")
    yield made
    made.close()


@pytest.fixture
def actuator(api: FakeKubernetes, tmp_path: Path) -> KubernetesActuator:
    token = tmp_path / "token"
    token.write_text("secret\n")
    settings = KubernetesSettings(api.url, token_file=str(token), evict=True)
    client = KubernetesClient(settings)
    return KubernetesActuator(client, settings, RuleSettings(), (ROW,), print)


def decide(level: int, capacity_kw: float = 90.0) -> RowDecision:
    return RowDecision(ROW, level, 40e3, 1000 * capacity_kw, "headroom 40 kW", READING)


def test_the_fake_server_refuses_what_the_schema_refuses() -> None:
    node = make_node("a")
    assert check_node(node) == []
    node["spec"]["taints"].append({"key": "x"})
    assert check_node(node)
    node = make_node("a")
    node["status"]["conditions"].append({"type": CONDITION, "state": "True"})
    assert check_node(node)


def test_levels_become_taints_and_a_condition(
    api: FakeKubernetes, actuator: KubernetesActuator
) -> None:
    actuator.apply([decide(FREE)], 0.0)
    node = api.nodes["a"]
    assert [taint["key"] for taint in node["spec"]["taints"]] == ["gpu"]
    assert node["status"]["capacity"] == {"cpu": "64", RESOURCE: "36500"}  # (90 - 10 - 7) / 2 kW
    first = {c["type"]: c for c in node["status"]["conditions"]}
    assert (first[CONDITION]["status"], first["Ready"]["status"]) == ("True", "True")
    actuator.apply([decide(DRAIN)], 1.0)
    assert api.nodes["b"]["spec"]["taints"][1:] == [{"key": TAINT, "effect": "NoSchedule"}]
    assert actuator.levels((ROW,)) == {"row1": DRAIN}
    actuator.apply([decide(SUSPEND)], 2.0)
    effects = [taint["effect"] for taint in api.nodes["b"]["spec"]["taints"][1:]]
    assert effects == ["NoSchedule", "NoExecute"]
    second = {c["type"]: c for c in api.nodes["b"]["status"]["conditions"]}
    assert second[CONDITION]["status"] == "False"
    assert actuator.levels((ROW,)) == {"row1": SUSPEND}


def test_what_is_in_force_is_not_written_again(
    api: FakeKubernetes, actuator: KubernetesActuator
) -> None:
    actuator.apply([decide(FREE)], 0.0)
    count = len(api.patches)
    for second in range(1, 30):
        actuator.apply([decide(FREE, 90.0 + second % 2)], float(second))
    assert len(api.patches) == count
    actuator.apply([decide(FREE)], 31.0)
    assert len(api.patches) == count + 2  # the sign of life of two nodes


def test_the_resource_falls_at_once_and_rises_slowly(
    api: FakeKubernetes, actuator: KubernetesActuator
) -> None:
    def watts() -> int:
        return int(api.nodes["a"]["status"]["capacity"][RESOURCE])

    for second, capacity_kw, expected in (
        (0, 90, 36500), (1, 40, 11500), (2, 60, 21500), (3, 90, 21500), (13, 90, 36500),
    ):  # fmt: skip
        actuator.apply([decide(FREE, capacity_kw)], float(second))
        assert watts() == expected, second


def test_undo_leaves_the_nodes_as_they_were(
    api: FakeKubernetes, actuator: KubernetesActuator
) -> None:
    actuator.apply([decide(SUSPEND)], 0.0)
    actuator.undo()
    for name in ("a", "b"):
        found, first = api.nodes[name], make_node(name)
        assert (found["spec"], found["status"]) == (first["spec"], first["status"])
    count = len(api.patches)
    actuator.undo()
    assert len(api.patches) == count


def test_one_failure_does_not_keep_the_other_node(
    api: FakeKubernetes, actuator: KubernetesActuator
) -> None:
    api.faults = [500]
    with pytest.raises(KubernetesError, match="500"):
        actuator.apply([decide(DRAIN)], 0.0)
    assert len(api.nodes["b"]["spec"]["taints"]) == 2
    actuator.apply([decide(DRAIN)], 1.0)
    assert len(api.nodes["a"]["spec"]["taints"]) == 2


def test_a_change_of_another_program_is_kept(
    api: FakeKubernetes, actuator: KubernetesActuator
) -> None:
    body = {"metadata": {"resourceVersion": "0"}, "spec": {"taints": []}}
    assert api.patch(["a"], "application/merge-patch+json", body)[0] == 409
    other = {"key": "other", "effect": "NoExecute", "timeAdded": "2026-11-28T00:00:00Z"}
    api.nodes["a"]["spec"]["taints"].append(other)
    actuator.apply([decide(DRAIN)], 0.0)
    actuator.undo()
    assert api.nodes["a"]["spec"]["taints"][1:] == [other]


def test_plain_http_to_another_host_is_refused() -> None:
    with pytest.raises(KubernetesError, match="https"):
        KubernetesClient(KubernetesSettings("http://10.0.0.1:8080"))
    with pytest.raises(KubernetesError, match="https"):
        KubernetesClient(KubernetesSettings("http://127.0.0.1.example.org"))


@pytest.mark.parametrize("node", [{"spec": None}, {"spec": []}, {"spec": {"taints": [5]}}])
def test_a_node_of_another_form_is_one_error(
    actuator: KubernetesActuator, monkeypatch: pytest.MonkeyPatch, node: dict[str, object]
) -> None:
    monkeypatch.setattr(actuator, "_node", lambda _: node)
    calls = (
        lambda: actuator.levels((ROW,)),
        lambda: actuator.apply([decide(DRAIN)], 0.0),
        actuator.undo,
    )
    for call in calls:
        with pytest.raises(KubernetesError, match="not the form of a Node"):
            call()
