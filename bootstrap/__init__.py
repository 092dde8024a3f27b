"""Environment to machines, machines to a plan, the plan to VMs, the machines to an inventory."""
