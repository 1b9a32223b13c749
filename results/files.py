"""Reads plain files and no others, and writes one so that a reader sees all of it or none."""

import os
import stat
import tempfile
from pathlib import Path
from typing import IO

LARGEST_BYTES = 64 * 2**20


class StoreError(Exception):
    """A file or folder cannot be used; the message says why and what to do."""


def content(path: Path) -> bytes:
    """Reads a file of a run. Raises `OSError`, or `StoreError` where it is a device, a pipe or too large."""
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > LARGEST_BYTES:
            raise StoreError(f"has {size:,} bytes; at most {LARGEST_BYTES:,} are read")
        return file.read(LARGEST_BYTES)


def open_plain(path: Path) -> IO[bytes]:
    """Opens a file to read it. Raises `OSError`, or `StoreError` where it may never end, such as a pipe."""
    file = os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb")
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise StoreError("is no plain file")


def replace(path: Path, content: bytes) -> None:
    """Writes a file by temporary file, fsync and rename: a reader sees all of it or none, also after a power cut."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):  # a write does not name its file
            raise type(error)(error.errno, error.strerror, str(path)) from error
        raise
    if hasattr(os, "O_DIRECTORY"):  # Windows opens no folders
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
