# SPDX-License-Identifier: Apache-2.0
"""The basic loops: supply temperature and differential pressure."""
