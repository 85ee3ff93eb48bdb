# SPDX-License-Identifier: Apache-2.0
"""Debian package: content (`tree`), manual page (`manual_page`), build (`build`).

Not a Debian source package. The agent needs newer libraries than Debian has. So the package holds a
virtual environment below /usr/lib/coldloop, with the packages of the locks.
"""
