"""The embedded lab: a Proxmox-VE-compatible API server, with machines behind it or without."""
