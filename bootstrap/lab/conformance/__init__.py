"""Recorded exchanges with a real Proxmox VE, replayed against a lab."""
