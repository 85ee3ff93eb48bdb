# SPDX-License-Identifier: Apache-2.0
"""Reports of a record: HTML, PDF, JUnit."""
