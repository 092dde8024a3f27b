"""Published versions, addresses and checksums. Each was read in at least two independent public sources.

An unknown value is `None`; the tool then says what to run on a connected machine. Nothing here is typed from memory.
The `+` of a K3s tag is `%2B` in its URL. Dated image directories never change; `latest` ones do.
"""

from bootstrap.config.software import Chart, Image, Pin

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

# Charts: the digest is that of the archive, as index.yaml of the repository has it.
CERT_MANAGER = Chart(
    repository="https://charts.jetstack.io",
    name="cert-manager",
    version="v1.21.2",
    sha256="73a56e1728edd6c99f1f31082618c3259d279a76b7ebd3d4bdc5475c2442d34a",
)
METALLB = Chart(
    repository="https://metallb.github.io/metallb",
    name="metallb",
    version="0.16.1",
    sha256="fb06bb584fcb7856f15733b2a6a2aff5b61b5c350687e341c163ae24a5938adc",
)
TRAEFIK = Chart(
    repository="https://traefik.github.io/charts",
    name="traefik",
    version="41.6.0",
    sha256="cd7254ea853da73bdb88edc896f079b88d43ffa0bfe699fdbf21081361eac365",
)
# 1.12.1 brings network policies that break some CNIs; 1.12.2 and 1.13.0 settle it, and their digests were not found twice.
LONGHORN = Chart(
    repository="https://charts.longhorn.io",
    name="longhorn",
    version="1.12.0",
    sha256="869bb20701b154473606f1e8967b27f34f2448a2dfe6eb8970f1cae6957384f5",
)
EXTERNAL_SECRETS = Chart(
    repository="https://charts.external-secrets.io",
    name="external-secrets",
    version="2.11.0",
    sha256="8199b42fe80b871c6a86233a80bb14f599fd6e1e6462c1216d836577f845e161",
)
MONITORING = Chart(
    repository="https://prometheus-community.github.io/helm-charts",
    name="kube-prometheus-stack",
    version="91.4.1",
    sha256="1bd5e7a88e758ed3ec22db0fe6e72b1352f3f0e7e5a93c79979f7edf361becdb",
)
