# SPDX-License-Identifier: Apache-2.0
"""State and alarm history of the unit over a restart (section `retain`)."""
