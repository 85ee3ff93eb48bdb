# SPDX-License-Identifier: Apache-2.0
"""Output of the relay in the format Sparkplug B."""
