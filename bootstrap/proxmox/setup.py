"""The lines that make a new Proxmox ready for an environment: roles, user, token, grants, content types."""

from __future__ import annotations

from bootstrap.config.base import Environment
from bootstrap.proxmox.privileges import Grant, grant_line, grants, role_line


def print_setup(environment: Environment) -> str:
    """Every pveum and pvesm line that a new Proxmox needs, to be typed as root on a node. Logs in nowhere."""
    proxmox = environment.proxmox
    lines = [
        f"# {environment.name}: type these as root on a Proxmox node. A line for what is there already fails and does no harm; read the content types below first."
    ]
    lines += ["", "# who we are"]
    lines.append(f"pveum user add {proxmox.user} --comment rzp-infra")
    if proxmox.token_name:
        lines.append(f"pveum user token add {proxmox.user} {proxmox.token_name} --privsep 1")
    else:
        lines.append(f"pveum passwd {proxmox.user}")
    lines += ["", "# what we may do: roles"]
    newer, older = grants(environment, 9), grants(environment, 8)
    lines += ["# Proxmox VE 9.x", _role(newer[0]), "# Proxmox VE 8.4", _role(older[0]), "# both"]
    lines += dict.fromkeys(_role(grant) for grant in newer[1:])
    lines += ["", "# where: a token has what both it and its user have"]
    for grant in newer:
        lines.append(grant_line(grant.path, grant.role, proxmox.user, None))
        if proxmox.token_name:
            token = f"{proxmox.user}!{proxmox.token_name}"
            lines.append(f"pveum acl modify {grant.path} --roles {grant.role} --tokens '{token}'")
    lines += ["", "# content types (a whole list: keep what else the storage holds)", *_contents(environment)]
    lines += [
        "",
        f"# then, here, with the value that was shown: rzp-bootstrap secrets set {environment.name} {_secret(environment)}",
    ]
    return "\n".join(lines)


def _role(grant: Grant) -> str:
    return role_line(grant.role, grant.privileges)


def _contents(environment: Environment) -> list[str]:
    proxmox = environment.proxmox
    if proxmox.image_storage == proxmox.disk_storage:
        return [f"pvesm set {proxmox.disk_storage} --content images,rootdir,iso,vztmpl,backup,import"]
    return [
        f"pvesm set {proxmox.image_storage} --content iso,vztmpl,backup,import",
        f"pvesm set {proxmox.disk_storage} --content images,rootdir",
    ]


def _secret(environment: Environment) -> str:
    return "proxmox.token" if environment.proxmox.token_name else "proxmox.password"
