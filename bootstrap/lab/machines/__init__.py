"""The machines that boot: Debian in systemd-nspawn, with networks, disks and control groups of the lab's own."""
