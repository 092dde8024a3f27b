"""Hosts to cluster, with pyinfra. `k3s.py` and `argocd.py` are the entries; `settings.py` is the door."""
