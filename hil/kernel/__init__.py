# SPDX-License-Identifier: Apache-2.0
"""The kernel of the bench: event queue, digest, serial line timing, interface of the controller."""
