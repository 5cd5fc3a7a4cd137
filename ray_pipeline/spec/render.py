"""Plain values as YAML that is read back as the same values, in the order given."""

import re
from collections.abc import Mapping
from io import StringIO
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_./][\w./<>=()+*' -]*[\w./)']|[A-Za-z_]|\d+[smhdw]")

_ESCAPED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]| {2}")
"""What only double quotes hold: U+0085 is a line end to YAML, and the emitter folds several spaces into one."""


def render(data: Mapping[str, Any]) -> str:
    """The YAML text. Quotes mark every text that some reader of YAML takes for something else."""
    from ruamel.yaml import YAML
    from ruamel.yaml.representer import SafeRepresenter

    class Careful(SafeRepresenter):  # type: ignore[misc]
        """Quotes more than the emitter, which writes `?0` plainly in a list and then reads it as a mapping."""

    Careful.add_representer(
        str,
        lambda this, text: this.represent_scalar(
            "tag:yaml.org,2002:str",
            text,
            style='"' if _ESCAPED.search(text) else None if _PLAIN.fullmatch(text) else "'",
        ),
    )
    yaml, out = YAML(typ="safe", pure=True), StringIO()
    yaml.Representer = Careful
    yaml.default_flow_style, yaml.width, yaml.sort_base_mapping_type_on_output = None, 120, False
    yaml.dump(data, out)
    return out.getvalue()
