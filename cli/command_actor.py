"""Who the audit log says has run a command: the user of the operating system, and the machine."""

from __future__ import annotations

import os
import pwd
import socket

from axonstream.gateway.control.audit_entry import Actor


def user_name() -> str:
    """By the process's user id, not by what the environment says; in a container a user often has a number alone."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def command_actor() -> Actor:
    return Actor(f"user {user_name()}", f"host {socket.gethostname()}")
