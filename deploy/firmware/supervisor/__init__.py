# SPDX-License-Identifier: Apache-2.0
"""The supervisor: modules that are frozen into each board image and start the agent."""
