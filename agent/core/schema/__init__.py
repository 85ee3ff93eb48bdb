# SPDX-License-Identifier: Apache-2.0
"""Words of the schemas that several rooms use; dropped after loading."""
