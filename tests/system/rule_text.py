"""Rules of campaigns: one danger stage a kind of device, told in the log."""

from __future__ import annotations

from collections.abc import Sequence


def danger_rules(rules: Sequence[tuple[str, str, str, float]]) -> str:
    """A rule set from (rule, kind of device, quantity, threshold in its unit)."""
    stages = [
        f'[[rules]]\nname = "{name}"\nkind = "stages"\nquantity = "{quantity}"\n'
        f'where = {{ device_kinds = ["{kind}"] }}\n'
        f'stages = [{{ name = "danger", level = 4, value = {threshold} }}]\n'
        for name, kind, quantity, threshold in rules
    ]
    names = ", ".join(f'"{name}"' for name, *_ in rules)
    route = (
        f'[[routes]]\nname = "to-disaster"\nrules = [{names}]\nmin_level = 2\n'
        'roles = ["disaster"]\nchannels = ["log"]\n'
    )
    return "\n".join([*stages, route])
