"""An answer that is an error. Proxmox puts the text into the HTTP reason phrase."""

from __future__ import annotations

SERVER_ERRORS = {
    500: "what is asked for cannot be done: no such machine or storage, a lock, a digest, a state",
    501: "no such endpoint or method; a body where there is none, too large, or in chunks",
    506: "a body of a type that is neither a form nor JSON",
}
"""The codes above 499 that the lab answers of its own accord; 595 and 596 come from bootstrap.lab.faults alone."""


class Fault(Exception):
    """`errors` names parameters; a `bare` fault has an empty body."""

    def __init__(
        self, status: int, text: str, errors: dict[str, str] | None = None, *, bare: bool = False
    ) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.errors = errors
        self.bare = bare

    def in_task(self) -> str:
        """The same error as the last words of a task: one line, parameter faults and denials with their number."""
        details = "".join(f"\n{name}: {text}" for name, text in (self.errors or {}).items())
        number = f"{self.status} " if self.status in (400, 403) else ""
        return f"{number}{self.text.rstrip()}{details}".replace("\n", " ")


def invalid(**errors: str) -> Fault:
    return Fault(
        400, "Parameter verification failed.", {name.replace("_", "-"): text for name, text in errors.items()}
    )


def denied(path: str, *privileges: str, bare: bool = False) -> Fault:
    what = f"{path}, {'|'.join(privileges)}" if privileges else path
    return Fault(403, f"Permission check failed ({what})", bare=bare)


def unauthorized(text: str) -> Fault:
    return Fault(401, text, bare=True)


def no_config(node: str, vmid: int) -> Fault:
    return Fault(500, f"Configuration file 'nodes/{node}/qemu-server/{vmid}.conf' does not exist")
