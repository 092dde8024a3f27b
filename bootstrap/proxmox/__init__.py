"""The Proxmox VE client: where and who (access), the calls (session), tasks, images, machines, and reading (read)."""
