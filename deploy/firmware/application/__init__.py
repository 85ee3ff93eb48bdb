# SPDX-License-Identifier: Apache-2.0
"""Application of a board: sources, names and file system of the precompiled modules."""
