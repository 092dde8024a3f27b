"""What holds for every host of every environment: how pyinfra logs in."""

from deploys.transport import without_delay

_sudo = True

# An unknown or a changed host key ends the run: the keys are known before the first login (inventories/ENV.known_hosts).
ssh_strict_host_key_checking = "yes"
# The bootstrap waits for port 22 with the right key, so this only bridges a restarting sshd.
ssh_connect_retries = 3
ssh_connect_retry_min_delay = 1.0
ssh_connect_retry_max_delay = 2.0
ssh_paramiko_connect_kwargs = {"transport_factory": without_delay}
