# SPDX-License-Identifier: Apache-2.0
"""The server side of Modbus: registers, requests, RTU line, TCP host."""
