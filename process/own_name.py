"""A name is one process's on its machine: the second one ends before it joins, and the first notices nothing.

Kafka cannot tell this: it gives a name to whoever joins last (see membership.py, which is what holds between machines).
The lock is the kernel's, so it ends with the process, also by kill -9.
"""

from __future__ import annotations

import fcntl
import logging
import os
import platform
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from axonstream.process.errors import NameTakenError
from axonstream.settings.settings import Settings

log = logging.getLogger(__name__)

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PLACE_LENGTH = 8


@contextmanager
def own_name(settings: Settings, part: str, instance: str) -> Generator[str]:
    """Hold the name for a block of code. Without a name, or where no file can be locked, that is nothing.

    Yields where the name is held. Two processes of one name that are told the same place never live at one time.
    Raises NameTakenError while another process of this user holds it for the same topics, on this machine.
    """
    file = _lock_file(settings, part, instance) if instance else None
    if file is None:
        yield uuid4().hex[:_PLACE_LENGTH]
        return
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NameTakenError(f"AXONSTREAM_{part.upper()}_INSTANCE={instance}") from None
        yield _place(file)
    finally:
        os.close(file)


def _place(file: int) -> str:
    """This file of this run of this kernel: containers share a kernel, and clones of a machine have equal files."""
    try:
        kernel = _BOOT_ID.read_text()
    except OSError:  # not Linux
        kernel = platform.node()
    at = os.fstat(file)
    return sha256(f"{kernel} {at.st_dev} {at.st_ino}".encode()).hexdigest()[:_PLACE_LENGTH]


def _lock_file(settings: Settings, part: str, instance: str) -> int | None:
    """Nobody removes it: a lock on a file that is gone would hold nobody off."""
    addresses = ",".join(sorted(settings.kafka_bootstrap_servers.split(",")))
    named = f"{part} {settings.topic_prefix} {addresses} {instance}"
    directory = Path(tempfile.gettempdir()) / f"axonstream-{os.getuid()}"
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        if directory.lstat().st_uid != os.getuid():  # another user's: he could hold any name
            return None
        path = directory / f"{sha256(named.encode()).hexdigest()[:32]}.lock"
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        log.debug("no name can be locked on this machine: %s", error)
        return None
