# SPDX-License-Identifier: Apache-2.0
"""Files with tests that wait for wall time. `python -m tests` runs several of them side by side.

The files with the longest tests are the first.
"""

REALTIME = (
    "tests/hil/page/test_page.py",
    "tests/hil/run/test_real_time.py",
    "tests/cli/test_agent_command.py",
    "tests/hil/test_demo.py",
    "tests/oracle/test_modbus_command.py",
    "tests/drivers/test_time_ports.py",
    "tests/oracle/test_bench.py",
    "tests/cli/test_link_command.py",
    "tests/oracle/test_receiver_gpsd.py",
    "tests/hil/bench/test_device_swap.py",
    "tests/drivers/test_bus_over_pty.py",
)
