"""What a failed call means: whether it may be repeated, and the one line that says what to do.

Proxmox' error text is the HTTP reason phrase; 595, 596 and 599 are its proxy's own: the other end was not reached, took
longer than 30 s, or broke off, while the operation may go on.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from enum import Enum
from typing import Any

import requests
from urllib3.exceptions import NewConnectionError

from bootstrap.errors import ProxmoxError, UnknownOutcome
from bootstrap.proxmox.access import Access
from bootstrap.proxmox.privileges import grant_line, role_of

_PINS = re.compile(r'Expected "(?P<want>[0-9a-f]+)", got "(?P<got>[0-9a-f]+)"')
_PRIVILEGE = re.compile(r"\((?P<path>/[^\s,]*), (?P<names>[\w.|]+)\)")
_PROXY_FAULTS = range(595, 600)
# Words of Proxmox → what to do about them.
_FIXES = (
    (
        r"bridge '.*' does not exist|is not a valid bridge",
        "create the bridge on that node, or correct network.bridge in bootstrap/config/site.py",
    ),
    (
        r"storage '.*' does not exist|No such storage",
        "correct proxmox.image_storage or disk_storage in bootstrap/config/site.py",
    ),
    (
        r"(not configured for content-type|does not support) '?(import|iso|vm images)",
        "allow it: pvesm set STORAGE --content … (rzp-bootstrap doctor ENV prints the line)",
    ),
    (
        r"checksum mismatch: got",
        "the image is not the pinned one: correct image.checksum or image.url (bootstrap/config/pins.py)",
    ),
    (
        r"checksum mismatch \(file change",
        "somebody changed the VM at the same moment; run the command again",
    ),
    (
        r"No space left|not enough (free )?space|out of space",
        "free space on the storage, then run the command again",
    ),
    (
        r"download failed",
        "the node could not fetch image.url; download it yourself and set image.file to the path",
    ),
    (r"protection mode enabled", "lift it on a Proxmox node: qm set VMID --protection 0"),
    (
        r"VM is locked \(create\)",
        "it is being created; if no task does that any more, on the node: qm unlock VMID && qm destroy VMID",
    ),
    (
        r"got timeout",
        "the storage was busy; run the command again, with a lower proxmox.parallel if it stays so",
    ),
)


class Verdict(Enum):
    """What became of a call that brought no answer of Proxmox, or not a good one."""

    UNSENT = "it never left this machine"
    BUSY = "it can be asked again"
    UNKNOWN = "it may have happened"
    FINAL = "it was refused"


def judge(error: requests.RequestException | None, status: int, reason: str, *, harmless: bool) -> Verdict:
    """`harmless`: repeating the call changes nothing (a read)."""
    again = Verdict.BUSY if harmless else Verdict.UNKNOWN
    if error is not None:
        if is_tls(error):
            return Verdict.FINAL
        return Verdict.UNSENT if _unsent(error) else again
    if status in _PROXY_FAULTS:
        return again
    busy = status in (502, 503, 504) or (status >= 500 and "got timeout" in reason)
    return Verdict.BUSY if busy and harmless else Verdict.FINAL


def is_tls(error: BaseException) -> bool:
    """A connection that is cut during its handshake (Proxmox restarts its proxy at night) says nothing of certificates."""
    cut = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
    return isinstance(error, requests.exceptions.SSLError) and not any(
        isinstance(cause, cut) for cause in _causes(error)
    )


def _unsent(error: requests.RequestException) -> bool:
    if isinstance(error, requests.ConnectTimeout):
        return True
    return any(isinstance(cause, NewConnectionError) for cause in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen = 0
    while error is not None and seen < 10:
        yield error
        inner = getattr(error, "reason", None) or (error.args[0] if error.args else None)
        error = inner if isinstance(inner, BaseException) else None
        seen += 1


def unreachable(
    error: requests.RequestException, call: str, url: str, access: Access, verdict: Verdict
) -> ProxmoxError:
    """The connection failed."""
    if is_tls(error):
        return ProxmoxError(f"{url}: {_tls(error, access)}")
    causes = list(_causes(error))
    text = (
        re.sub(r"^.*?object at 0x[0-9a-f]+>[:,] ?|^\(.*\): ", "", str(causes[-1])).strip()
        or type(error).__name__
    )
    if verdict is Verdict.UNKNOWN:
        return UnknownOutcome(
            f"{call}: the connection broke before the answer ({text}); run the command again to see"
        )
    return ProxmoxError(
        f"{url}: Proxmox is not reached ({text}); check proxmox.endpoints of {access.environment}, the network and port 8006"
    )


def _tls(error: requests.RequestException, access: Access) -> str:
    if pins := _PINS.search(str(error)):
        return (
            f"the certificate's fingerprint is {pairs(pins['got'])}, wanted is {pairs(pins['want'])};"
            " if it was renewed, put the new one (Proxmox: Node, System, Certificates) into proxmox.fingerprint"
        )
    reason = re.search(r"certificate verify failed: ([^(]+)", str(error))
    return (
        f"TLS: {reason[1].strip() if reason else error}; it was checked against {access.trust}. Set proxmox.fingerprint"
        " (Proxmox: Node, System, Certificates) or proxmox.ca_file (/etc/pve/pve-root-ca.pem)"
    )


def pairs(digest: str) -> str:
    """AB:CD:… of a hexadecimal digest."""
    return ":".join(digest[index : index + 2] for index in range(0, len(digest), 2)).upper()


def refused(
    status: int, reason: str, errors: Any, call: str, access: Access, verdict: Verdict
) -> ProxmoxError:
    """Proxmox answered with an error."""
    if verdict is Verdict.UNKNOWN:
        return UnknownOutcome(
            f"{call}: {status} {reason}: it may go on inside Proxmox; run the command again to see",
            status=status,
        )
    fields = errors.items() if isinstance(errors, dict) else ()
    details = "; ".join(
        f"{name}: {' '.join(str(text).split())}" for name, text in fields if not isinstance(text, bytes)
    )
    text = f"{call}: {status} {reason.strip()}" + (f" ({details})" if details else "")
    fix = _fix(status, f"{reason} {details}", access)
    return ProxmoxError(f"{text}; {fix}" if fix else text, status=status)


def _fix(status: int, text: str, access: Access) -> str:
    if status == 401:
        return _login_fix(access)
    if status == 403:
        return _privilege_fix(text, access)
    return fix_for(text)


def _privilege_fix(text: str, access: Access) -> str:
    """A storage that is not there is told as a missing privilege, too."""
    named = _PRIVILEGE.search(text)
    role = next(filter(None, map(role_of, named["names"].split("|"))), None) if named else None
    if named is None or role is None:
        return f"rzp-bootstrap doctor {access.environment} names what is missing"
    path = "/vms" if named["path"].startswith("/vms/") else named["path"]
    line = grant_line(path, role, access.user, access.token_name)
    return (
        f"grant it, if there is such a storage: {line}"
        if path.startswith("/storage/")
        else f"grant it: {line}"
    )


def fix_for(text: str) -> str:
    """What to do about words of Proxmox; empty when we know nothing."""
    return next((fix for pattern, fix in _FIXES if re.search(pattern, text, re.IGNORECASE)), "")


def _login_fix(access: Access) -> str:
    if access.token_name is None:
        return f"check the password of {access.user}: rzp-bootstrap secrets set {access.environment} proxmox.password"
    return (
        f"check the secret of token {access.identity}: rzp-bootstrap secrets set {access.environment} proxmox.token"
        " (or RZP_PROXMOX_TOKEN)"
    )
