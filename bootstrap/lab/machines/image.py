"""The Debian 13 root that every machine of the lab starts from, built once per recipe with mmdebstrap.

It is what a cloud image is: no machine ID, no host keys, cloud-init waiting for a seed. It lives in a cache shared
by all labs of a user and is only ever read (it is the lower layer of each machine's overlay). What makes the
lab's machines look like VMs is not in it but in the guest layer (guest/), so that the two change independently.
"""

from __future__ import annotations

import fcntl
import hashlib
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from bootstrap.errors import LabError
from bootstrap.lab import cache
from bootstrap.lab.machines import mirror

if TYPE_CHECKING:
    from collections.abc import Callable

SUITE = "trixie"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

SYSTEM = (
    *(
        "systemd",
        "systemd-sysv",
        "systemd-resolved",
        "libnss-resolve",
        "dbus",
        "udev",
        "sudo",
        "procps",
        "kmod",
    ),
    *("openssh-server", "cloud-init", "netplan.io", "cloud-guest-utils", "iproute2", "iputils-ping"),
    # mount(8) asks fuseiso for iso9660 where the kernel has no driver for it
    *("fuseiso", "python3-yaml", "apparmor", "util-linux", "e2fsprogs", "xz-utils", "zstd"),
)
NODE = (
    *("qemu-guest-agent", "curl", "ca-certificates", "iptables", "nftables", "conntrack"),
    *("open-iscsi", "nfs-common", "cryptsetup"),
)
"""What a deploy asks for: a lab without internet can only have it from the start."""

EXCLUDED = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")

FINISH = """
set -eu; cd "$1"
: > etc/machine-id
rm -f etc/ssh/ssh_host_*_key etc/ssh/ssh_host_*_key.pub etc/hostname var/lib/dbus/machine-id
ln -sf ../run/systemd/resolve/stub-resolv.conf etc/resolv.conf
echo GenerateName=yes > etc/iscsi/initiatorname.iscsi
systemctl -q --root="$1" enable systemd-networkd systemd-resolved
systemctl -q --root="$1" mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer
"""

TOOLS = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "losetup": "mount",
    "nsenter": "util-linux",
}


def missing_tools() -> list[str]:
    """The Debian packages that the host lacks for building the image and running machines."""
    lacking = {package for tool, package in TOOLS.items() if shutil.which(tool) is None}
    if not KEYRING.exists():
        lacking.add("debian-archive-keyring")
    return sorted(lacking)


def install_line(packages: list[str]) -> str:
    return "apt-get install --no-install-recommends " + " ".join(packages)


def key(packages: tuple[str, ...] = SYSTEM + NODE) -> str:
    """Changes when the recipe changes, and only then."""
    recipe = "\n".join([SUITE, *sorted(packages), *EXCLUDED, FINISH])
    return hashlib.sha256(recipe.encode()).hexdigest()[:12]


def ensure(report: Callable[[str], None]) -> Path:
    """The image's root folder; builds it (about 40 s) when this recipe has none yet."""
    root = cache.folder() / f"debian-{SUITE}-{key()}"
    if root.is_dir():
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    with (root.parent / f"{root.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.is_dir():  # another lab may have built it while this one waited
            _build(root, report)
    return root


def _build(root: Path, report: Callable[[str], None]) -> None:
    if lacking := missing_tools():
        raise LabError(f"the lab's image cannot be built; install what is missing: {install_line(lacking)}")
    source = f"deb [signed-by={KEYRING}] {mirror.find()} {SUITE} main\n"
    unfinished = root.with_name(f"{root.name}.unfinished")
    _remove(unfinished)
    report(f"building the machines' Debian {SUITE} image, once; about 40 s ({root})")
    log = root.with_name(f"{root.name}.log")
    with log.open("w") as output:
        done = subprocess.run(
            _command(unfinished),
            input=source,
            text=True,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        tail = "\n".join(log.read_text().splitlines()[-8:])
        _remove(unfinished)
        raise LabError(f"mmdebstrap failed (exit {done.returncode}, all of it in {log}):\n{tail}")
    unfinished.rename(root)
    report("image built")


def _command(target: Path) -> list[str]:
    return [
        *("mmdebstrap", "--mode=root", "--variant=apt", "--format=directory", f"--keyring={KEYRING}"),
        f"--include={','.join(SYSTEM + NODE)}",
        '--aptopt=APT::Install-Recommends "false"',
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in EXCLUDED),
        f'--customize-hook=sh -c {shlex.quote(FINISH)} finish "$1"',
        *(SUITE, str(target), "-"),
    ]


def _remove(folder: Path) -> None:
    # --one-file-system: an interrupted build may have left its /proc or /sys mounted there
    subprocess.run(["rm", "-rf", "--one-file-system", str(folder)], check=True)
