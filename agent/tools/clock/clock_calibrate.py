# SPDX-License-Identifier: Apache-2.0
"""`coldloop clock calibrate`: measure the latency of the sentences of a receiver.

The agent must not use the port at the same time. The reference is one of

    pps:/dev/pps0    pulses of the same receiver; the best one. Phase only: a latency of a second
                     or more is not visible
    ntp:HOST         a server on the same network
    system           the system clock, if a time service disciplines it

The network time of a modem is not a reference: its error is about one second.
"""

import argparse
import json
import sys
from dataclasses import asdict

from agent.core.errors import ConfigError
from agent.tools.clock.latency import MIN_SAMPLES, Latency, LatencyMeter
from agent.tools.clock.reference_clock import NtpReference, PulseReference, SystemReference
from drivers.errors import DriverError
from drivers.gnss.receiver import ReceiverDriver
from drivers.tools import nmea_decode
from drivers.tools.lib import byte_source

EXAMPLE = "coldloop clock calibrate /dev/ttyUSB0 --reference pps:/dev/pps0 --seconds 600"
_MAX_MS = 1_000.0
Reference = PulseReference | NtpReference | SystemReference


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `coldloop clock calibrate`."""
    parser.add_argument("port", metavar="PORT", help="a device, or the address of a port")
    parser.add_argument(
        "--reference",
        default="system",
        metavar="pps:DEVICE|ntp:HOST|system",
        help="the time to compare with (default: system)",
    )
    parser.add_argument(
        "--seconds", type=float, default=600.0, metavar="N", help="how long (default 600)"
    )
    parser.add_argument(
        "--system-error-ms",
        type=float,
        metavar="MS",
        help="error of the system clock, if the kernel does not know it",
    )
    parser.add_argument("--json", action="store_true", help="print the result as a JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Measure; return 0, or 1 without a usable result."""
    text: str = arguments.port
    try:
        if byte_source.find_address(text) is None:
            raise ConfigError(f"{text}: not a port")
        reference = open_reference(arguments.reference, arguments.system_error_ms)
        receiver = nmea_decode.make_receiver(text, None)
        try:
            meter = measure(receiver, reference, byte_source.read_chunks(text, arguments.seconds))
        finally:
            reference.close()
    except DriverError as error:
        raise ConfigError(str(error)) from None
    latency = meter.result(reference.error_us)
    if latency is None:
        print(
            f"coldloop clock calibrate: {len(meter.samples)} samples, at least {MIN_SAMPLES} are "
            "needed: check the fix of the receiver, the reference, and --seconds",
            file=sys.stderr,
        )
        return 1
    usable = 0.0 < latency.latency_ms <= _MAX_MS
    print(
        json.dumps({**asdict(latency), "usable": usable}) if arguments.json else describe(latency)
    )
    return 0 if usable else 1


def open_reference(text: str, system_error_ms: float | None) -> Reference:
    """Open a reference by its name. Raises `ConfigError`."""
    if text.startswith("pps:"):
        return PulseReference(text)
    if text.startswith("ntp:"):
        return NtpReference(text[4:])
    if text != "system":
        raise ConfigError(f"{text}: not pps:DEVICE, ntp:HOST or system")
    return SystemReference(None if system_error_ms is None else round(system_error_ms * 1000))


def measure(
    receiver: ReceiverDriver, reference: Reference, chunks: byte_source.Chunks
) -> LatencyMeter:
    """Return the samples of a stream, until its end or SIGINT."""
    meter = LatencyMeter(reference.modulo)
    try:
        for data, now in chunks:
            reference.poll(now)
            receiver.receive(data, now)
            for fix in receiver.take_fixes():
                if not fix.valid or fix.utc_us is None or fix.line_overloaded:
                    continue
                sample = reference.sample(fix.utc_us, fix.mono_us)
                if sample is not None:
                    meter.add(sample)
    except KeyboardInterrupt:
        pass
    return meter


def describe(found: Latency) -> str:
    """Return the result as text, with the lines for the configuration."""
    span = f"{found.earliest_ms:.2f} to {found.latest_ms:.2f} ms"
    lines = [
        f"samples       {found.samples}",
        f"latency       mean {found.mean_ms:.2f} ms, deviation {found.deviation_ms:.2f} ms, {span}",
        f"drift         {found.drift_ms:+.2f} ms from the first third to the last",
        f"reference     error {found.reference_ms:.2f} ms",
    ]
    if not 0.0 < found.latency_ms <= _MAX_MS:
        return "\n".join(
            [*lines, "no proposal: the receiver or the reference is wrong by more than a latency"]
        )
    setting = f'"latency_ms": {found.latency_ms}, "latency_error_ms": {found.error_ms}'
    return "\n".join([*lines, f"receiver      {setting}"])
