"""With which exit code a command ends, so that a script can tell what went wrong. `axonstream --help` lists them."""

from __future__ import annotations

import click

FAILED = 1
WRONG_USE = 2  # click's own
NOT_ALL = 3
WRONG_SETTINGS = 4
UNREACHABLE = 5
NO_SECRET = 6
NOT_VERIFIED = 7

MEANINGS = {
    0: "done; of verify: nothing differs",
    FAILED: "it failed, the message says why; of verify: something differs",
    WRONG_USE: "a wrong option or argument",
    NOT_ALL: "of dead-letters replay: not all could be published again",
    WRONG_SETTINGS: "a setting in the environment is wrong",
    UNREACHABLE: "the gateway, Kafka or ClickHouse does not answer",
    NO_SECRET: "no API key or server secret is known, or the gateway does not take it",
    NOT_VERIFIED: "of verify: it could not be verified",
}

EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code}  {meaning}" for code, meaning in MEANINGS.items())


class SettingsError(click.ClickException):
    """A setting is wrong."""

    exit_code = WRONG_SETTINGS


class UnreachableError(click.ClickException):
    """A server does not answer."""

    exit_code = UNREACHABLE


class NoSecretError(click.ClickException):
    """There is no key or secret to ask with, or it is not taken."""

    exit_code = NO_SECRET
