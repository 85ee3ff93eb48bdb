# SPDX-License-Identifier: Apache-2.0
"""Northbound servers: what buildings, racks and persons on site read from the unit; CPython only.

Not a part of the agent: own processes read the record of points that the agent writes. A change
goes back to the agent as a signed message; see `deploy.northbound.writes`.
"""
