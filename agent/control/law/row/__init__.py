# SPDX-License-Identifier: Apache-2.0
"""Parts of the checks of the row's sensors: one signal, flow and pressure, the exchanger."""
