# SPDX-License-Identifier: Apache-2.0
"""Store-and-forward log of telemetry."""
