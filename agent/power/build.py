# SPDX-License-Identifier: Apache-2.0
"""Build loads, services and sensors from the section `throttle` of the configuration.

Does not check the section; see `agent.power.schema`. MicroPython unloads it after the start.
"""

from agent.core.errors import ConfigError
from agent.power.frequency_droop import FrequencyDroop
from agent.power.load import Load
from agent.power.load_class import LoadClass, find_class
from agent.power.optics_monitor import OpticsMonitor
from agent.power.scaled_sensor import ScaledSensor
from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.context import Context
    from agent.power.detector.device_heat import DeviceHeat
    from drivers.redfish.client import RedfishClient


def find_sensor(agent: "Context", point_config: "dict[str, Any] | None") -> "ScaledSensor | None":
    """Return the sensor of a configured point {"device", "point"}, or None."""
    if point_config is None:
        return None
    session = agent.fieldbus.session(point_config["device"])
    index = session.device.point_index(point_config["point"])
    stale_us = agent.config.stale_us
    if session.profile.points[index].poll == "slow":
        stale_us += session.profile.periods[1]
    return ScaledSensor(session, point_config["point"], stale_us)


def load_classes(settings: "dict[str, Any]") -> "list[LoadClass]":
    """Return the load classes of the site."""
    return [
        LoadClass(
            entry["name"],
            entry["case_limit_c"],
            entry["rise_k"],
            tuple([(point["supply_c"], point["pct"]) for point in entry["curve"]]),
        )
        for entry in settings["classes"]
    ]


def build_loads(agent: "Context", settings: "dict[str, Any]") -> "list[Load]":
    """Return all loads, in the order of the configuration."""
    site_classes = load_classes(settings)
    loads = []
    for raw in settings["loads"]:
        load_class = find_class(raw["class"], site_classes)
        if load_class is None:
            continue
        load = Load(raw["name"], load_class, raw["priority"], raw["min_w"], raw["max_w"])
        for outlet in raw["outlets"]:
            session = agent.fieldbus.session(outlet["device"])
            load.outlets.append((session, session.device.point_index(outlet["point"])))
            if "watts" in outlet:
                load.watts.append((session, session.device.point_index(outlet["watts"])))
        loads.append(load)
    return loads


def build_services(settings: "dict[str, Any]", loads: "list[Load]") -> "list[RedfishClient]":
    """Return the Redfish services in the order of their names, connected to their loads.

    Raises ConfigError on a machine without the code: boards without sockets.
    """
    services: list[RedfishClient] = []
    ports = settings.get("ports", {})
    if not ports:
        return services
    client, target = _import_redfish()
    for name in sorted(ports):
        assigned = [
            (raw, load) for raw, load in zip(settings["loads"], loads) if raw.get("port") == name
        ]
        targets = [
            target(
                raw["path"],
                raw["schema"],
                raw["effect_ms"] * MILLISECOND,
                raw["deferred"] == 1,
                raw.get("system", ""),
            )
            for raw, _ in assigned
        ]
        login, session = None, True
        for entry in settings["logins"]:
            if entry["port"] == name:
                login = (entry["username"], entry["password"])
                session = entry["by"] == "session"
        service = client(_host_of(ports[name]), targets, login, session)
        for index, (_, load) in enumerate(assigned):
            load.use_service(service, index)
        services.append(service)
    return services


def _import_redfish() -> "tuple[Any, Any]":
    """Return the classes of a service and of its loads; few units have one."""
    try:
        from drivers.redfish.client import RedfishClient  # noqa: PLC0415
        from drivers.redfish.target import RedfishTarget  # noqa: PLC0415
    except ImportError:
        raise ConfigError("throttle.ports: this machine has no code for it")
    return RedfishClient, RedfishTarget


def build_device_heats(loads: "list[Load]") -> "list[DeviceHeat]":
    """Return the checks of the device temperatures, which come from the services only."""
    served = [load for load in loads if load.can_limit]
    if not served:
        return []
    from agent.power.detector.device_heat import DeviceHeat  # noqa: PLC0415 - needs a service

    return [DeviceHeat(load) for load in served]


def _host_of(address: str) -> str:
    """Return HOST:PORT of an address, without its kind and options."""
    return address.partition("?")[0].partition(":")[2]


def build_optics(
    agent: "Context", settings: "dict[str, Any]", loads: "list[Load]"
) -> "list[OpticsMonitor]":
    """Return the monitored optical modules."""
    monitors = []
    for raw in settings["optics"]:
        sensor = find_sensor(agent, raw)
        linked_loads = [load for load in loads if load.name == raw.get("load")]
        if sensor is not None:
            warm, hot = 1000 * raw["warn_c"], 1000 * raw["hot_c"]
            monitors.append(
                OpticsMonitor(
                    raw["name"], sensor, warm, hot, linked_loads[0] if linked_loads else None
                )
            )
    return monitors


def build_droop(settings: "dict[str, Any]") -> "FrequencyDroop | None":
    """Return the frequency droop, if it is configured."""
    raw = settings.get("droop")
    if raw is None:
        return None
    return FrequencyDroop(
        1000 * raw["nominal_hz"], raw["deadband_mhz"], raw["full_mhz"], raw["least_pct"]
    )
