# SPDX-License-Identifier: Apache-2.0
"""Check and compile a configuration; unloaded from memory after loading."""
