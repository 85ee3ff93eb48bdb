# SPDX-License-Identifier: Apache-2.0
"""The emulated devices, each built on a library that the agent does not use."""
