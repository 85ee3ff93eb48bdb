"""The drivers' commands, a technician's probes: `coldloop nmea decode|monitor`.

A thin table; the work is in `drivers.tools`.
"""

import argparse


def nmea(argv: list[str]) -> int:
    """Read what a satellite receiver says."""
    parser = argparse.ArgumentParser(
        prog="coldloop nmea",
        description="What a BeiDou/GPS receiver says.",
        epilog="example: coldloop nmea decode capture.nmea --json",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_decode(actions)
    _add_monitor(actions)
    arguments = parser.parse_args(argv)
    seconds: float | None = arguments.seconds
    if seconds is not None and seconds <= 0:
        parser.error(f"--seconds: {seconds:g} is not above 0")
    if arguments.action == "decode":
        from drivers.tools import nmea_decode

        return nmea_decode.run(
            arguments.source, as_json=arguments.json, vendor=arguments.vendor, seconds=seconds
        )
    from drivers.tools import nmea_monitor

    return nmea_monitor.run(arguments.port, vendor=arguments.vendor, seconds=seconds)


def _add_decode(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    decode = actions.add_parser(
        "decode",
        help="each epoch of a capture or port as a line",
        description="Print each epoch of a capture or port, then what was wrong with the stream.",
        epilog="example: coldloop nmea decode /dev/ttyUSB0 --seconds 10",
    )
    decode.add_argument(
        "source",
        nargs="?",
        default="-",
        metavar="FILE|-|PORT",
        help="a capture, standard input (the default), or a port such as "
        "serial:/dev/ttyUSB0?baud=115200",
    )
    decode.add_argument("--json", action="store_true", help="one JSON object an epoch")
    _add_common(decode)


def _add_monitor(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    monitor = actions.add_parser(
        "monitor",
        help="a live sky on the terminal",
        description="Show the sky as the receiver on a port sees it.",
        epilog="example: coldloop nmea monitor 'serial:/dev/ttyUSB0?baud=115200'",
    )
    monitor.add_argument("port", metavar="PORT", help="a device, or an address of a port")
    _add_common(monitor)


def _add_common(parser: argparse.ArgumentParser) -> None:
    from protocols.nmea.satellites import VENDORS

    parser.add_argument(
        "--vendor",
        choices=VENDORS,
        help="who made the receiver, where its numbers mean something of their own",
    )
    parser.add_argument("--seconds", type=float, metavar="N", help="of a port: end after N seconds")
