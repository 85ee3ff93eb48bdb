# SPDX-License-Identifier: Apache-2.0
"""Help for authors of scenarios: vocabulary, check with line numbers, schema, first file."""
