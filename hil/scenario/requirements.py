# SPDX-License-Identifier: Apache-2.0
"""The requirements on the controller, by number; an expectation can name one.

Does not contain tests. A report lists each requirement with its expectations. A number is never
used for a second requirement.
"""

REQUIREMENTS: dict[str, str] = {
    "COOL-1": "supply temperature and pressure hold their set-points through a load step",
    "COOL-2": "the supply temperature stays above the dew point plus its margin",
    "COOL-3": "if a pump fails, the other pump takes its load",
    "COOL-4": "a restart of the controller moves no actuator",
    "COOL-5": "the control compensates wear, fouling and friction; the set-points hold",
    "SAFE-1": "a failed sensor or actuator leads to safe outputs and an alarm that names it",
    "SAFE-2": "a leak has priority over heat, heat has priority over condensation",
    "SAFE-3": "the control needs no broker, receiver, meter or store",
    "SAFE-4": "no tick is missed",
    "SAFE-5": "proof tests exercise the valve and the resting pump",
    "HEAT-1": "loads are limited before a protection trips",
    "HEAT-2": "limits hold although services are busy, reject limits or lose them",
    "TIME-1": "the error of UTC stays within its stated bound",
    "TIME-2": "false time or position is detected and moves no tick",
    "TIME-3": "units act in the same tick of UTC",
    "BUS-1": "no wrong value is accepted from the bus",
    "BUS-2": "a lost device is reported, and used again after its return",
    "LINK-1": "logged data is delivered after the link returns",
    "LINK-2": "a byte budget is never exceeded",
    "LINK-3": "a power cut or a full disk loses no durable data",
    "LINK-4": "an alarm is sent immediately, in one datagram if nothing else is due",
    "CONF-1": "a harmful configuration change is rolled back",
    "CONF-2": "only an operator can change the configuration",
    "CONF-3": "a configuration change is bumpless for the loops",
    "GRID-1": "the unit rides through a grid dip, and pumps restart one after the other",
    "GRID-2": "loads draw less power at low grid frequency, and are restored afterwards",
    "PAIR-1": "two controllers of a pair never write in one bus cycle; a takeover takes up to 2 s",
    "GROUP-1": "no single failure of a unit, a sensor or the network stops the cooling of a group",
    "BILL-1": "energy figures stay correct through resets, rollovers and power cuts",
}
