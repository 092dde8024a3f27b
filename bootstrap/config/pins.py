"""Published versions, addresses and checksums. Each was read in at least two independent public sources.

An unknown value is `None`; the tool then says what to run on a connected machine. Nothing here is typed from memory.
The `+` of a K3s tag is `%2B` in its URL. Dated image directories never change; `latest` ones do.
"""

from bootstrap.config.software import Image, Pin

DEBIAN_13 = Image(
    filename="debian-13-genericcloud-amd64-20261001-2618.qcow2",
    url="https://cloud.debian.org/images/cloud/trixie/20261001-2618/debian-13-genericcloud-amd64-20261001-2618.qcow2",
    checksum="f46f0671a6e5bdec5291ab8972bae2f10e5408c2f64a74078f11efc2f06a436a"
    "9d0313ed50e0472542eeabf780e9f7c792ac0a314c6c20507fcd9fd81b468c3d",
)

K3S = Pin(
    version="v1.36.4+k3s1",
    url="https://github.com/k3s-io/k3s/releases/download/v1.36.4%2Bk3s1/k3s",
    sha256="835873f37245fc615f547a2fe2af9402a347875f13fa64a1f136de644955ea3f",
)

ARGOCD = Pin(
    version="v3.5.1",
    url="https://raw.githubusercontent.com/argoproj/argo-cd/v3.5.1/manifests/install.yaml",
    sha256="795a3a972224da6a7f9d32c3e946445f062b60fb46028476715affeb688236e3",
)
