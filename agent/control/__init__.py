# SPDX-License-Identifier: Apache-2.0
"""Loops, actuators and operating modes (section `cooling`)."""
