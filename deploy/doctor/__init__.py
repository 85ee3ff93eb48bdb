# SPDX-License-Identifier: Apache-2.0
"""`coldloop doctor`: checks whether this controller can run the agent, and names the next step.

The check changes nothing: it writes no file and no setting, and it sends no request to a device. It
opens a free serial port once and closes it, as the agent does at its start.
"""
