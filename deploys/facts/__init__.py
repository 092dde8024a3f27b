"""How a host, the cluster and Argo CD are read: one script each, pure parsers, frozen values."""
