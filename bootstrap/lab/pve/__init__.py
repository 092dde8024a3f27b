"""The Proxmox-VE-compatible API: access, storages, machines, tasks, as the real one answers."""
