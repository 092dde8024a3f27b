"""Who gets in, who does not, and with which words."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest


def ask(
    lab: dict[str, Any],
    method: str,
    path: str,
    headers: dict[str, str] | None = None,
    form: dict[str, str] | None = None,
) -> tuple[http.client.HTTPResponse, str]:
    place = urlsplit(lab["url"])
    connection = http.client.HTTPSConnection(
        place.hostname or "", place.port, context=ssl._create_unverified_context()
    )
    body = urlencode(form) if form is not None else None
    kind = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
    connection.request(method, f"/api2/json{path}", body, {**kind, **(headers or {})})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer, text


def login(lab: dict[str, Any]) -> dict[str, str]:
    answer, text = ask(
        lab, "POST", "/access/ticket", form={"username": "root@pam", "password": lab["root_password"]}
    )
    assert answer.status == 200
    data: dict[str, str] = json.loads(text)["data"]
    return data


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        ("", "No ticket"),
        ("Bearer x", "No ticket"),
        ("PVEAPIToken=rzp", "Authentication failed!"),
        ("PVEAPIToken=rzp@pve!nope=00000000-0000-0000-0000-000000000000", "Authentication failed!"),
        ("PVEAPIToken=rzp@pve!infra=00000000-0000-0000-0000-000000000000", "Authentication failed!"),
        ("PVEAuthCookie=PVE:root@pam:00000000::00", "Authentication failed!"),
    ],
)
def test_a_stranger_gets_401_with_an_empty_body(lab: dict[str, Any], authorization: str, reason: str) -> None:
    answer, text = ask(lab, "GET", "/version", {"Authorization": authorization} if authorization else {})
    assert (answer.status, answer.reason, text) == (401, reason, "")


def test_a_token_needs_nothing_but_itself(lab: dict[str, Any]) -> None:
    head = {"Authorization": f"PVEAPIToken={lab['token_id']}={lab['token']}"}
    answer, text = ask(lab, "GET", "/version", head)
    assert json.loads(text)["data"]["version"] == "9.2.11"
    assert answer.headers["Server"] == "pve-api-daemon/3.0"
    assert answer.headers["Content-Type"] == "application/json;charset=UTF-8"


def test_an_unknown_endpoint_is_not_implemented_once_one_is_known(lab: dict[str, Any]) -> None:
    head = {"Authorization": f"PVEAPIToken={lab['token_id']}={lab['token']}"}
    assert ask(lab, "GET", "/nope")[0].status == 401
    answer, text = ask(lab, "GET", "/nope", head)
    assert (answer.status, answer.reason) == (501, "Method 'GET /nope' not implemented")
    assert json.loads(text) == {"data": None, "message": "Method 'GET /nope' not implemented"}
    assert ask(lab, "PATCH", "/version", head)[0].reason == "method 'PATCH' not available"
    assert (
        ask(lab, "DELETE", "/version", head, {"a": "b"})[0].reason == "Unexpected content for method 'DELETE'"
    )


def test_a_ticket_writes_only_with_its_csrf_token(lab: dict[str, Any]) -> None:
    data = login(lab)
    head = {"Cookie": f"PVEAuthCookie={quote(data['ticket'], safe='')}"}
    assert ask(lab, "GET", "/version", head)[0].status == 200
    answer, text = ask(lab, "POST", "/pools", head, {"poolid": "p"})
    assert (answer.status, answer.reason, text) == (401, "Permission denied - invalid csrf token", "")
    answer, _ = ask(
        lab, "POST", "/pools", head | {"CSRFPreventionToken": data["CSRFPreventionToken"]}, {"poolid": "p"}
    )
    assert answer.status == 200


def test_a_wrong_password_is_told_in_json(lab: dict[str, Any]) -> None:
    answer, text = ask(lab, "POST", "/access/ticket", form={"username": "root@pam", "password": "no"})
    assert (answer.status, answer.reason) == (401, "authentication failure")
    assert json.loads(text)["data"] is None


def test_a_ticket_renews_itself(lab: dict[str, Any]) -> None:
    answer, _ = ask(
        lab, "POST", "/access/ticket", form={"username": "root@pam", "password": login(lab)["ticket"]}
    )
    assert answer.status == 200


def test_both_the_user_and_the_token_must_hold_a_privilege(lab: dict[str, Any]) -> None:
    data = login(lab)
    root = {
        "Cookie": f"PVEAuthCookie={quote(data['ticket'], safe='')}",
        "CSRFPreventionToken": data["CSRFPreventionToken"],
    }
    head = {"Authorization": f"PVEAPIToken={lab['token_id']}={lab['token']}"}
    for owner in ({"users": "rzp@pve"}, {"tokens": lab["token_id"]}):
        entry = {"path": "/vms", "roles": "RZPVM", **owner}
        ask(lab, "PUT", "/access/acl", root, entry | {"delete": "1"})
        answer, _ = ask(lab, "GET", "/nodes/pve1/qemu/100/config", head)
        assert (answer.status, answer.reason) == (403, "Permission check failed (/vms/100, VM.Audit)")
        ask(lab, "PUT", "/access/acl", root, entry)
    assert ask(lab, "GET", "/nodes/pve1/qemu/100/config", head)[0].status == 500
