"""What the controller has promised, by number: an expectation of a scenario may name one.

Not the tests: a report lists each requirement with the expectations that hold it. The words are
those of ARCHITECTURE.md and docs/; a number is never given twice.
"""

REQUIREMENTS: dict[str, str] = {
    "COOL-1": "supply temperature and pressure hold their set-points through a step of the load",
    "COOL-2": "the supply stays above the dew point with its margin",
    "COOL-3": "a lost pump is taken over by the other",
    "COOL-4": "a restart moves no actuator",
    "COOL-5": "what wears, clogs or sticks is made up for, and the set-points hold",
    "SAFE-1": "what cannot be read or moved brings the safe outputs, and an alarm that names it",
    "SAFE-2": "a leak outranks heat, heat outranks condensation",
    "SAFE-3": "control needs no broker, receiver, meter or store",
    "SAFE-4": "no tick is missed",
    "SAFE-5": "what is idle is proven: valve and resting pump",
    "HEAT-1": "loads are throttled before anything trips",
    "HEAT-2": "limits hold through services that are busy, refuse, or forget them",
    "TIME-1": "UTC is known within its stated bound",
    "TIME-2": "a lie about time or place is seen, and moves no tick",
    "TIME-3": "units act in the same tick of UTC",
    "BUS-1": "no wrong value is ever taken from the bus",
    "BUS-2": "a lost device is reported, and taken back when it returns",
    "LINK-1": "what is logged is delivered once the link is back",
    "LINK-2": "a byte budget is never exceeded",
    "LINK-3": "a power cut or a full disk costs nothing that was durable",
    "LINK-4": "an alarm leaves at once, in one datagram where there is nothing else",
    "CONF-1": "a change that does harm is rolled back",
    "CONF-2": "nobody but an operator changes anything",
    "CONF-3": "a change is taken without a bump of the loops",
    "GRID-1": "a dip of the grid is ridden through, and pumps restart one after the other",
    "GRID-2": "loads draw less while the grid sags, and come back",
    "BILL-1": "the energy bill stays right through resets, roll-overs and power cuts",
}
