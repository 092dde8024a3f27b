"""The keys of K3s' config.yaml. K3s skips an unknown one with a warning only, so a typo would be lost.

Read in the documentation of the `k3s server` and `k3s agent` commands (k3s-io/docs, docs/cli).
"""

from __future__ import annotations

AGENT = frozenset(
    "alsologtostderr bind-address container-runtime-endpoint debug default-runtime disable-apiserver-lb"
    " disable-default-registry-endpoint docker enable-pprof flannel-cni-conf flannel-conf flannel-iface"
    " image-credential-provider-bin-dir image-credential-provider-config image-service-endpoint kube-proxy-arg"
    " kubelet-arg lb-server-port log node-external-dns node-external-ip node-internal-dns nonroot-devices pause-image"
    " prefer-bundled-bin private-registry protect-kernel-defaults resolv-conf rootless selinux snapshotter v vmodule"
    " vpn-auth-file".split()
)
"""Free on every node."""

SERVER = AGENT | frozenset(
    "advertise-address advertise-port cluster-dns cluster-domain default-local-storage-path disable-agent"
    " disable-cloud-controller disable-helm-controller disable-kube-proxy disable-network-policy disable-scheduler"
    " egress-selector-mode embedded-registry etcd-arg etcd-disable-snapshots etcd-expose-metrics etcd-s3"
    " etcd-s3-bucket etcd-s3-config-secret etcd-s3-endpoint etcd-s3-endpoint-ca etcd-s3-folder etcd-s3-insecure"
    " etcd-s3-proxy etcd-s3-region etcd-s3-skip-ssl-verify etcd-s3-timeout etcd-snapshot-compress etcd-snapshot-dir"
    " etcd-snapshot-name etcd-snapshot-retention etcd-snapshot-schedule-cron flannel-backend flannel-external-ip"
    " flannel-ipv6-masq helm-job-image kube-apiserver-arg kube-cloud-controller-manager-arg"
    " kube-controller-manager-arg kube-scheduler-arg secrets-encryption secrets-encryption-provider"
    " service-node-port-range servicelb-namespace supervisor-metrics system-default-registry tls-san-security"
    " write-kubeconfig-group".split()
)
"""Free on servers; an agent gets those of them that are in AGENT."""

OWN = frozenset(
    "agent-token agent-token-file cluster-cidr cluster-init cluster-reset cluster-reset-restore-path config data-dir"
    " datastore-cafile datastore-certfile datastore-endpoint datastore-keyfile disable etcd-s3-access-key"
    " etcd-s3-secret-key https-listen-port node-ip node-label node-name node-taint server service-cidr tls-san token"
    " token-file vpn-auth with-node-id write-kubeconfig write-kubeconfig-mode".split()
)
"""Written by the deploy itself, a secret (it would stand in the inventory), or at odds with what the deploy relies on."""
