"""Running something at execute time: a remote command with a limit, a bounded wait, a failure in one sentence."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import TYPE_CHECKING

from paramiko import SSHException
from pyinfra import logger
from pyinfra.api.command import FunctionCommand, PyinfraCommand, QuoteString, StringCommand
from pyinfra.api.exceptions import ConnectError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pyinfra.api.host import Host
    from pyinfra.api.state import State

Commands = Generator[PyinfraCommand, None, None]
"""What an operation yields."""
PAUSE = 2.0
"""Seconds between two looks of a wait."""


class Hopeless(Exception):
    """What is waited for can no longer happen."""


def limited(script: str, seconds: int, *, stdin: str | None = None) -> StringCommand:
    """`script` ends after `seconds` on the host as well: pyinfra's own limit would leave the process running there."""
    arguments = {"_timeout": seconds + 30} | ({} if stdin is None else {"_stdin": stdin})
    return StringCommand("timeout", str(seconds), "sh", "-c", QuoteString(script), **arguments)  # type: ignore[arg-type]


def remote(host: Host, script: str, seconds: int = 30, *, stdin: str | None = None) -> tuple[bool, str]:
    """Run `script` on `host` as root without failing it: success and stdout. An unreachable host is no success."""
    try:
        if not host.connected:
            host.connect(raise_exceptions=True)
        # outside of an operation pyinfra does not look at what a command carries along
        done, output = host.run_shell_command(limited(script, seconds), _sudo=True, _stdin=stdin)
    except (TimeoutError, OSError, SSHException, ConnectError) as error:
        return False, f"{host.name} does not answer: {error}"
    return done, output.stdout if done else output.output


def failure(sentence: str, evidence: Callable[[], str] | None = None) -> FunctionCommand:
    """A command that fails the host with one sentence (and evidence, gathered only then). In a plan it is a change."""
    return FunctionCommand(_fail, (sentence, evidence), {})


def _fail(state: State, host: Host, sentence: str, evidence: Callable[[], str] | None) -> bool:  # noqa: ARG001
    for line in evidence().splitlines() if evidence else []:
        host.log(f"  {line}", log_func=logger.error)
    host.log_styled(sentence, fg="red", log_func=logger.error)
    return False


def wait(
    host: Host,
    what: str,
    seconds: float,
    look: Callable[[], str | None],
    evidence: Callable[[], str] | None = None,
    *,
    pause: float = PAUSE,
) -> Iterator[FunctionCommand]:
    """Wait until `look` returns None; until then it says what is missing. Ends without a command, or with a failure.

    A short wait looks more often.

    A wait changes nothing, so it is no change: pyinfra would count a yielded command as one. While planning it returns
    at once.
    """
    if not host.state.is_executing:
        return
    deadline, said = time.monotonic() + seconds, ""
    while True:
        try:
            missing = look()
        except Hopeless as reason:
            yield failure(f"{what}: {reason}", evidence)
            return
        if missing is None:
            return
        if time.monotonic() >= deadline:
            yield failure(f"{what}: not within {seconds:.0f} s; {missing}", evidence)
            return
        if missing != said:
            host.log(f"waiting for {what} (at most {seconds:.0f} s): {missing}")
            said = missing
        time.sleep(min(pause, seconds / 10))


def journal(host: Host, unit: str, *secrets: str, known: Mapping[str, str]) -> Callable[[], str]:
    """Evidence: the last lines of a unit's journal, with `secrets` masked, and the fix for a `known` message."""

    def tail() -> str:
        script = (
            f"systemctl status --no-pager -n 0 {unit}; journalctl -u {unit} -n 25 --no-pager -o cat; true"
        )
        text = remote(host, script)[1]
        for secret in secrets:
            text = text.replace(secret, "***")
        fixes = [f"known: {message}: {fix}" for message, fix in known.items() if message in text]
        return "\n".join([text, *fixes])

    return tail
