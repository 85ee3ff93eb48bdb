# SPDX-License-Identifier: Apache-2.0
"""The bench: emulates all devices of a liquid-cooled row.

It runs in virtual time, thousands of times faster than real time, or in real time over real ports.
A controller does not need it.
"""
