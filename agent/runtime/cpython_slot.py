# SPDX-License-Identifier: Apache-2.0
"""Select the application of this process: the installed one, or an update from a slot of the store.

Does not fetch or verify updates; see `agent.remote.update.software_update`.

The installed application always starts first. It reads the store
(`agent.remote.storage.software_slots`), counts the start of an update on trial and joins the chunks
of the update into a file. Then it executes Python with this file (a wheel, or another zip of
packages) first in the path. If an update ends with an error, the service manager starts it again.
At the fourth start it is rolled back.
"""

import os
import sys
from pathlib import Path

from agent.config.text_file import read_file
from agent.core.errors import ConfigError
from agent.remote.storage import software_slots
from agent.remote.storage.config_slots import with_copies
from agent.runtime.cpython_start import store_address
from drivers.errors import DriverError
from drivers.ports.address import parse_address
from drivers.ports.cpython.store import Store

SLOT = "COLDLOOP_SLOT"
"""Environment variable of an update: its file."""


def enter_application(config: str, first: bool) -> None:
    """Execute the application that should run, or return if this is the one.

    `first`: this process was just started. The file `config` names the store. Without a store the
    installed application runs.
    """
    if SLOT in os.environ:
        if not first:
            _exec_python("")  # the installed application selects again
        return
    try:
        address = store_address(read_file(config))
        store = None if address is None else Store(parse_address(address))
        if store is None or store.read(software_slots.RECORD_KEY) is None:
            return
        path = _choose(store, Path(parse_address(str(address)).path))
    except (ConfigError, DriverError):
        return  # the start reports the error later
    if path is not None:
        _exec_python(str(path))


def _choose(store: Store, folder: Path) -> Path | None:
    """Count the start. Return the file to run, or None for the installed application."""
    chosen, writes = software_slots.choose_release(store.read)
    for key, data in with_copies(writes):
        store.write(key, data)
    if chosen is None:
        return None
    bundle = software_slots.read_bundle(chosen, store.read)
    if bundle is None:
        _print(f"release {chosen.release} is damaged; running the installed application")
        found = software_slots.load_releases(store.read)
        if found is not None and found.trial is not None:
            for key, data in with_copies(found.roll_back("damaged")):
                store.write(key, data)
        return None
    name = f"update.{software_slots.SLOTS[chosen.slot]}.whl"
    store.write(name, bundle)
    return folder / name


def _exec_python(path: str) -> None:
    """Execute Python in this process, with `path` before the installed packages."""
    variables = {key: value for key, value in os.environ.items() if key not in (SLOT, "PYTHONPATH")}
    if path:
        variables.update({SLOT: path, "PYTHONPATH": path})
    elif "COLDLOOP_PYTHONPATH" in variables:
        variables["PYTHONPATH"] = variables["COLDLOOP_PYTHONPATH"]
    if path and "PYTHONPATH" in os.environ:
        variables["COLDLOOP_PYTHONPATH"] = os.environ["PYTHONPATH"]
    _print(f"starting {path or 'the installed application'}")
    sys.stderr.flush()
    # -P: do not import from the current folder.
    os.execve(sys.executable, [sys.executable, "-P", "-m", "coldloop", *sys.argv[1:]], variables)


def _print(text: str) -> None:
    print(f"coldloop agent: {text}", file=sys.stderr)
