# SPDX-License-Identifier: Apache-2.0
"""Mutation tests of the core: does a test fail if the code is changed?"""
