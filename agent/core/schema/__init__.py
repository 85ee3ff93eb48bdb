# SPDX-License-Identifier: Apache-2.0
"""Words of the schemas that several packages use; unloaded after loading."""
