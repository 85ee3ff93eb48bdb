# SPDX-License-Identifier: Apache-2.0
"""A unit with power limits for the tests: two GPUs behind one service, one on an outlet."""

from agent.port_numbers import FIRST_BUS
from protocols.time_units import SECOND
from tests.portable.support.agent_rig import CDU, VALVE, AgentRig, config, profiles

SERVICE = FIRST_BUS + 1
PATH = "/redfish/v1/Chassis/%s/EnvironmentMetrics"
PDU = 5
OUTLET = [{"device": "strip", "point": "Outlet2On"}]


def make_models():
    """Return the devices; the valve reads the facility flow, a power strip has two outlets."""
    by_name = profiles()
    flow = {"address": 2, "type": "i16", "function": 3, "scale": [1, 10], "unit": "1"}
    flow.update({"name": "PrimaryFlowLitersPerMinute", "min": 0, "max": 30000})
    inlet = dict(flow, name="PrimarySupplyTemperatureCelsius", address=3)
    by_name["valve"]["points"].extend([flow, inlet])
    by_name["valve"]["blocks"][0]["count"] = 4
    by_name["cdu"]["points"].append(dict(flow, name="FlowLitersPerMinute", address=5))
    by_name["cdu"]["points"].append(dict(flow, name="FrequencyHertz", address=6, scale=[1, 100]))
    by_name["cdu"]["points"].append(dict(flow, name="Module1Celsius", address=7))
    by_name["cdu"]["blocks"][0]["count"] = 8
    outlet = {"type": "u16", "function": 3, "scale": [1, 1], "unit": "1", "write": True}
    outlet["limits"] = [0, 1]
    outlet.update({"min": 0, "max": 1})
    strip = dict(by_name["meter"], model="strip")
    strip["blocks"] = [{"function": 3, "address": 0, "count": 2}]
    strip["points"] = [
        dict(outlet, name="Outlet1On", address=0),
        dict(outlet, name="Outlet2On", address=1),
    ]
    by_name["strip"] = strip
    return by_name


def control_itself(raw, models):
    """Let the CDU of a configuration control itself: it gets the set-point of the supply only."""
    setpoint = dict(models["cdu"]["points"][-1], name="SupplyTemperatureControlCelsius", address=8)
    setpoint.update({"scale": [1, 10], "unit": "Cel", "write": True, "limits": [0, 500]})
    models["cdu"]["points"].append(setpoint)
    models["cdu"]["blocks"][0]["count"] = 9
    models["cdu"]["cdu"] = {"supply": "SupplyTemperatureControlCelsius"}
    raw["control"]["supply"] = {"setpoint_c": 32, "sensor": "cdu", "cdu": "cdu"}
    del raw["control"]["dp"]


def load_section(name, **options):
    raw = {"name": name, "class": "gpu", "max_w": 10_000, "min_w": 3_000}
    raw.update(options)
    return raw


def throttle_section(**options):
    """Return the section `throttle`."""
    raw = {
        "ports": {"bmc": "tcp:bmc:80"},
        "loads": [
            load_section("gpu1", port="bmc", path=PATH % "gpu1", priority=7),
            load_section("gpu2", port="bmc", path=PATH % "gpu2", priority=3),
            load_section("spare", outlets=OUTLET, max_w=4000, min_w=0, priority=1),
        ],
    }
    raw.update(options)
    return raw


class BmcModel:
    """A service that stores limits; `received_limits` has the requests: (seconds, name, watts)."""

    def __init__(self, rig):
        self.rig = rig
        self.limits = {"gpu1": 10_000, "gpu2": 10_000}
        self.received_limits = []

    def answer(self, data):
        method, path = data.split(b" ")[:2]
        name = path.decode().split("/")[4]
        if method == b"PATCH":
            watts = int(data.split(b'"SetPoint": ')[1].split(b",")[0])
            self.limits[name] = watts
            self.received_limits.append(((self.rig.now - self.rig.start) / SECOND, name, watts))
            return b"HTTP/1.1 204 No Content\r\n\r\n"
        body = b'{"PowerLimitWatts": {"SetPoint": %d}, "PowerWatts": {"Reading": %d.0}}'
        body = body % (self.limits[name], min(9000, self.limits[name]))
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class PowerRig(AgentRig):
    """The rig with the section; `component` is the power limit component, `bmc` its service."""

    def __init__(self, records=None, is_self_controlled=False, **options):
        raw, models = config(), make_models()
        raw["devices"].append({"name": "strip", "bus": "bus", "unit": PDU, "profile": "strip"})
        raw["throttle"] = throttle_section(**options)
        self.bmc = BmcModel(self)
        self.records = records if records is not None else {}
        self.store = SERVICE if "port" in options else -1
        self.service = SERVICE + ("port" in options)
        self.now = self.start = 0
        if is_self_controlled:
            control_itself(raw, models)
        AgentRig.__init__(self, raw, models=models)

    def perform(self, port, op, data):
        if port == self.store and op in ("get", "write"):
            key, _, payload = data.partition(b"\0")
            if op == "write":
                self.records[key] = payload
                self.schedule(1000, "event", port, "drained")
            else:
                result = self.records.get(key)
                answer = key + (b"" if result is None else b"\0" + result)
                self.schedule(1000, "receive", port, answer)
        elif port == self.service and op == "write":
            self.schedule(20_000, "receive", port, self.bmc.answer(data))
        else:
            AgentRig.perform(self, port, op, data)

    def set_registers(self):
        """Set registers of the larger devices."""
        registers = self.devices.registers
        registers[CDU] = [320, 400, 3000, 2000, 0, 600, 5000, 400, 320]
        registers[VALVE] = [4000, 4000, 800, 240]
        registers[PDU] = [1, 1, 0, 0]

    @property
    def component(self):
        return self.agent.components[0]
