# SPDX-License-Identifier: Apache-2.0
"""A file system with a power cut at any step: data that are not durable are lost or truncated.

Replaces `open` and `os` in a store of the project (drivers/ports/*/store.py), on both interpreters.
It behaves like the worst case of ext4 or littlefs: written data are durable only after fsync, a new
or renamed name only after fsync of the folder. `cut_at` is the step of the power cut.

`outcome` of a cut: "lost" (no data without fsync remain), "kept" (all data remain), "torn" (names
and half of the bytes remain).
"""

ENOENT = 2


class PowerCut(Exception):  # noqa: N818 - no error of the program
    """The power was cut."""


class File:
    """An open file."""

    def __init__(self, disk, node):
        self._disk, self._node = disk, node
        self._at = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False

    def write(self, data):
        self._disk.step()
        self._node[0] = self._node[0] + bytes(data)
        return len(data)

    def seek(self, offset, whence=0):
        self._at = offset + (len(self._node[0]) if whence == 2 else 0)
        return self._at

    def read(self, maximum=None):
        rest = self._node[0][self._at :]
        return rest if maximum is None else rest[:maximum]

    def flush(self):
        self._disk.step()

    def fileno(self):
        return self._node


class Disk:
    """Names to nodes; a node is [present content, durable content]."""

    def __init__(self):
        self.names, self.durable = {}, {}
        self.steps = 0
        self.cut_at = None

    def step(self):
        if self.cut_at is not None and self.steps >= self.cut_at:
            raise PowerCut
        self.steps += 1

    def open(self, path, mode="rb", buffering=-1):
        if mode == "rb":
            if path not in self.names:
                raise OSError(ENOENT, "not there")
            return File(self, self.names[path])
        self.step()
        if mode == "wb" or path not in self.names:
            self.names[path] = [b"", b""]
        return File(self, self.names[path])

    def sync(self, node):
        self.step()
        node[1] = node[0]

    def sync_folder(self, _=None):
        self.step()
        self.durable = dict(self.names)

    def rename(self, old, new):
        self.step()
        self.names[new] = self.names.pop(old)

    def remove(self, path):
        if path not in self.names:
            raise OSError(ENOENT, "not there")
        self.step()
        del self.names[path]

    def stat(self, path):
        if path not in self.names:
            raise OSError(ENOENT, "not there")
        return (0o100644,)

    def listdir(self, _):
        return [path.split("/")[-1] for path in self.names]

    def after_cut(self, outcome):
        """Return the disk as the next start finds it."""
        result = Disk()
        names = self.durable if outcome == "lost" else self.names
        for path in names:
            now, durable = names[path]
            is_appended = now[: len(durable)] == durable
            if outcome == "kept":
                data = now
            elif outcome == "lost" or not is_appended:
                data = durable
            else:
                data = now[: (len(durable) + len(now)) // 2]
            result.names[path] = [data, data]
        result.durable = dict(result.names)
        return result
