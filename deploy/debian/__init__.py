"""The Debian package: its content (`tree`), its manual page (`manual`), how it is built (`build`).

Not a source package: nothing of Debian's builds it. What the agent needs is newer than Debian's own
libraries, so it brings a virtual environment below /opt/coldloop, from the locked hashes.
"""
