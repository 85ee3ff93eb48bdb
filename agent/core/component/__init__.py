# SPDX-License-Identifier: Apache-2.0
"""Optional components: base class, registry, declarations and the set of a unit."""
