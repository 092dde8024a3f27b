"""A stand-in for the `k3s` executable: a test double for machines that cannot reach the K3s release.

It runs inside the lab's machines from one file, with nothing but Debian's python3, python3-yaml and openssl. It keeps a
registry of nodes and objects, is strict about tokens, CA hashes and modes, and speaks the texts of real K3s where they
are known. It runs no pods, no etcd and no network; its join and peer endpoints are its own, and there is no quorum.

    cli ─► server ─► origin, listener ─► cluster ─► requests ─► objects ─► kinds, state     what a server does
        └► agent ──► node ─► client                                                         what any node does
        └► kubectl ► client
"""
