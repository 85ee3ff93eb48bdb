# SPDX-License-Identifier: Apache-2.0
"""Fuzzing of every parser on every port: by mutation in `make test`, guided by coverage in soak."""
