"""What every part of an environment is: frozen, unknown keys refused, every fault one line with the fix.

Sizes are in GiB, memory in MiB. Networks are given once; a machine's address is its network plus a host number.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, WithJsonSchema

_LABEL = re.compile(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")


def _hostname(value: str) -> str:
    if not _LABEL.match(value):
        raise ValueError("is no hostname; use lower-case letters, digits and dashes, at most 63")
    return value


Hostname = Annotated[str, AfterValidator(_hostname), WithJsonSchema({"type": "string", "format": "hostname"})]


class Model(BaseModel):
    """Frozen, and an unknown key is an error. Space around a text is no part of it; Proxmox cuts it off, too.

    The text below a field is its description: docs/environment.md is made of it.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, str_strip_whitespace=True, use_attribute_docstrings=True
    )
