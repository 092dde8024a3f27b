"""Under `--diff`, what an apply would change, as the API server computes it. Secrets are never sent for that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploys import paths
from deploys.running import remote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyinfra.api.host import Host

    from deploys.handover import Object

SECONDS = 60
_ALIKE, _DIFFERENT = "0", "1"


def asked(host: Host) -> bool:
    """With `--diff`: in the plan; with `-y` pyinfra makes none, then before the change."""
    planned = bool(host.state.should_check_for_changes())  # type: ignore[no-untyped-call]
    return bool(host.state.config.DIFF) and not (host.state.is_executing and planned)


def show(host: Host, wanted: Iterable[Object]) -> None:
    """What cannot be compared is a note, no failure."""
    for item in wanted:
        if item.is_secret:
            host.log(f"  {item.name}: a Secret, not shown")
        else:
            for line in _lines(host, item):
                host.log(f"  {line}")


def _lines(host: Host, item: Object) -> list[str]:
    """Kubectl ends with 0: no difference, 1: differences, more: an error. Conflicts are forced, as the apply does."""
    kubectl = (
        f"{paths.K3S_BINARY} kubectl diff --server-side --force-conflicts --field-manager={item.manager}"
    )
    script = f'{kubectl} -n {item.namespace} -f - 2>&1; printf "\\n%s\\n" "$?"'
    done, text = remote(host, script, SECONDS, stdin=item.text)
    *lines, status = text.splitlines() or [""]
    shown = [line for line in lines if line.strip()]
    if not done or status not in (_ALIKE, _DIFFERENT):
        reason = " ".join(shown) if done else text
        return [f"{item.name} cannot be compared: {' '.join(reason.split()) or 'no answer'}"]
    return [f"{item.name}:", *shown] if shown else [f"{item.name}: no difference"]
