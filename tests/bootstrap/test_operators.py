"""Two operators at once, each at a computer of their own: Proxmox decides, and the loser gets one line."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import BaseAdapter

from bootstrap.plan import destroy
from bootstrap.proxmox import images, machines, tasks
from bootstrap.secrets import Secret
from tests.bootstrap.conftest import Lab

AGENT = "/nodes/pve1/qemu/930"


class Meddling(BaseAdapter):
    """Passes calls on; before each change of the configuration somebody else makes one."""

    def __init__(self, real: BaseAdapter, lab: Lab) -> None:
        super().__init__()
        self.real, self.root = real, lab.root()

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        if request.method == "PUT":
            self.root.put(f"{AGENT}/config", {"description": "theirs"})
        return self.real.send(request, **options)

    def close(self) -> None:
        self.real.close()


@pytest.mark.parametrize("attempt", range(5))
def test_two_runs_at_once_make_every_machine_once(lab: Lab, attempt: int) -> None:  # noqa: ARG001 - again and again
    plan = lab.plan()

    with ThreadPoolExecutor(2) as both:
        results = [run.result() for run in [both.submit(lab.apply, plan) for _ in range(2)]]

    lost = [str(error) for result in results for error in result.failures.values()]
    assert all("\n" not in line and len(line) < 400 for line in lost)
    if lab.plan().changes:
        assert lab.apply(lab.plan()).failures == {}
    assert lab.plan().changes == ()
    assert lab.volumes() == lab.expected_volumes(lab.machines)
    assert [(vm.vmid, vm.running, vm.seed) for vm in lab.observe().vms] == [
        (920, True, None),
        (930, True, None),
    ]


def test_a_change_that_crosses_another_one_is_refused_and_named(lab: Lab) -> None:
    lab.apply(lab.plan())
    wanted = (lab.machines[0], replace(lab.machines[1], cores=3))

    (error,) = lab.apply(lab.plan(wanted), lab.client(lambda real: Meddling(real, lab))).failures.values()

    assert "somebody changed the VM at the same moment; run the command again" in str(error)
    assert lab.root().get(f"{AGENT}/config")["cores"] == 1
    assert lab.apply(lab.plan(wanted)).failures == {}
    assert lab.root().get(f"{AGENT}/config")["description"] == "theirs"


def test_two_destroy_at_once(lab: Lab) -> None:
    lab.apply(lab.plan())
    plan = destroy("demo", lab.observe(), lab.machines)

    with ThreadPoolExecutor(2) as both:
        results = [run.result() for run in [both.submit(lab.apply, plan) for _ in range(2)]]

    assert all("\n" not in str(error) for result in results for error in result.failures.values())
    left = destroy("demo", lab.observe(), lab.machines)
    assert lab.apply(left).failures == {}
    assert lab.observe().vms == ()
    assert lab.volumes() == lab.expected_volumes(())


class Late(BaseAdapter):
    """Passes calls on; just before its create somebody else's goes in."""

    def __init__(self, real: BaseAdapter, lab: Lab, asked: dict[str, Any]) -> None:
        super().__init__()
        self.real, self.winner, self.asked = real, lab.client(), asked

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        if request.method == "POST" and str(request.url).endswith("/nodes/pve1/qemu"):
            self.winner.post("/nodes/pve1/qemu", self.asked)
        return self.real.send(request, **options)

    def close(self) -> None:
        self.real.close()


def test_who_loses_a_claim_to_another_account_leaves_the_winners_seed(lab: Lab) -> None:
    machine = lab.machines[0]
    images.fetch(lab.client(), lab.environment, "pve1", Path())
    asked = {
        name: int(value) if isinstance(value, bool) else value
        for name, value in machines.parameters(machine, lab.environment).items()
    }
    other = Secret(lab.endpoint["root_password"])
    late = lab.client(lambda real: Late(real, lab, asked), user="root@pam", token_name=None, secret=other)

    result = lab.apply(lab.plan((machine,)), late)

    assert "locked by a creation that is not ours" in str(result.failures["demo-server-1"])
    tasks.settle(lab.client(), "pve1")
    assert f"local:iso/{machine.seed_iso}" in lab.volumes(), "the winner starts its machine with it"
