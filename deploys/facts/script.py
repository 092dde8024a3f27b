"""The shell script that answers the questions about a host: plain sh, reads only, always succeeds.

Its last line is `end`: an answer without it is none, because pyinfra takes a host that failed for one that said nothing.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from deploys import paths

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deploys.facts.questions import Questions

# One line per answer, fields separated by tabs; contents in base64, so that no byte of them can be mistaken for one.
_FUNCTIONS = r"""
text() { for f; do [ -f "$f" ] && printf 'file\t%s\t%s\ttext\t%s\n' "$f" "$(stat --printf '%a\t%U' "$f")" "$(base64 -w0 "$f")"; done; }
hash() { for f; do [ -f "$f" ] && printf 'file\t%s\t%s\tsha256\t%s\n' "$f" "$(stat --printf '%a\t%U' "$f")" "$(sha256sum <"$f" | cut -d' ' -f1)"; done; }
exists() { for f; do [ -e "$f" ] && printf 'exists\t%s\n' "$f"; done; }
live() { for k; do f=/proc/sys/$(echo "$k" | tr . /); [ -r "$f" ] && printf 'sysctl\t%s\t%s\n' "$k" "$(cat "$f")"; done; }
module() {
  for m; do
    # a file's name has - where the module's has _
    if [ -e "/sys/module/$m" ] || grep -qs "/$(echo "$m" | sed 's/_/[-_]/g')\.ko" "/lib/modules/$(uname -r)/modules.builtin"; then printf 'module\t%s\n' "$m"; fi
  done
  # a kernel that has them built in, without parameters and without a list of its modules, shows them only here
  [ -e /proc/sys/net/bridge ] && printf 'module\tbr_netfilter\n'
  grep -qw overlay /proc/filesystems && printf 'module\toverlay\n'
}
# how far an ext4 reaches; nothing where there is none
extent() { LC_ALL=C dumpe2fs -h "$1" 2>/dev/null | grep '^Block' | base64 -w0; }
disk() {
  for d; do
    r=$(readlink -f "$d"); [ -b "$r" ] || continue
    tags=$(blkid -p -o export "$r" 2>/dev/null); probe=$?
    found=$(wipefs --no-act "$r" 2>/dev/null) || probe=99
    parts=$(lsblk -rno TYPE "$r" 2>/dev/null | grep -c part)
    printf 'disk\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$d" "$r" "$(stat -c %t:%T "$r")" "$probe" \
      "$(printf %s "$tags" | base64 -w0)" "$(printf %s "$found" | base64 -w0)" "$parts" \
      "$(blockdev --getsize64 "$r")" "$(extent "$r")"
  done
}
root() {
  set -- $(findmnt -rno MAJ:MIN,FSTYPE -M / | tail -n 1)
  p=$(readlink -f "/sys/dev/block/$1"); d=${p%/*}
  if [ -e "$p/partition" ]; then
    printf 'root\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$2" "${p##*/}" "${d##*/}" "$(cat "$p/partition")" \
      "$(cat "$p/start")" "$(cat "$p/size")" "$(cat "$d/size")" "$(cat "$d"/*/start | xargs)" "$(extent "/dev/${p##*/}")"
  else
    printf 'root\t%s\n' "$2"
  fi
}
mounted() { for p; do n=$(findmnt -rno MAJ:MIN -M "$p" | tail -n 1); [ -n "$n" ] && printf 'mount\t%s\t%s\n' "$p" "$n"; done; }
"""
_ALWAYS = r"""
root
command -v cloud-init >/dev/null && printf 'cloud-init\n'
tail -n +2 /proc/swaps 2>/dev/null | while read -r name _; do printf 'swap\t%s\n' "$name"; done
awk '$1 !~ /^#/ && $3 == "swap" { print "swap\t/etc/fstab:" $1 }' /etc/fstab 2>/dev/null
"""
_PROPERTIES = "Id,ActiveState,UnitFileState,NeedDaemonReload,Job"
_SERVING = r"curl -ksf --max-time 3 https://127.0.0.1:6443/cacerts >/dev/null 2>&1 && printf 'serving\n'"


def gathering(questions: Questions) -> str:
    """The script for these questions."""
    words = [
        _call("text", questions.texts),
        _call("hash", questions.hashes),
        _call("exists", questions.exist),
        _call("live", questions.sysctls),
        _call("module", questions.modules),
        _call("disk", (disk.device for disk in questions.disks)),
        _call("mounted", (disk.mount for disk in questions.disks)),
        f"{_call('systemctl show -p ' + _PROPERTIES, questions.units)} | sed 's/^/unit\\t/'",
        f"{_call(_QUERY, questions.packages)} 2>/dev/null",
        # asked of binaries only once there is one
        f"[ -x {paths.K3S_BINARY} ] && {_SERVING}" if questions.server else "",
    ]
    return "\n".join([_FUNCTIONS.strip(), _ALWAYS.strip(), *filter(None, words), "printf 'end\\n'"])


_QUERY = r"dpkg-query -W -f='package\t${Package}\t${db:Status-Abbrev}\n'"


def _call(function: str, words: Iterable[str]) -> str:
    quoted = " ".join(shlex.quote(word) for word in words)
    return f"{function} {quoted}" if quoted else ":"
