# SPDX-License-Identifier: Apache-2.0
"""Campaign of the clock: random cases of sky, oscillator, receiver and host, in memory."""
