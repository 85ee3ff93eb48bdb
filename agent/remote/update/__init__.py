# SPDX-License-Identifier: Apache-2.0
"""Boot choice, live change, trial, software update."""
