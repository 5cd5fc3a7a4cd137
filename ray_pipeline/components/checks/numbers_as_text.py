"""Text columns that are numbers except for a few words."""

from ray_pipeline.components.checks._base import Check, Findings, Profile, Spec, varying
from ray_pipeline.errors import listed

MIN_SHARE, MIN_DISTINCT = 0.8, 10


class NumbersAsText(Check):
    """Most values are numbers, whose order the model does not see; codes with leading zeros are no numbers."""

    fix = "write the column as numbers, and the words as null"

    def check(self, profile: Profile, spec: Spec) -> Findings:
        """At most one finding for each column."""
        for name in varying(profile):
            values = profile.columns[name].values
            numbers = {value: rows for value, rows in values.items() if _is_number(value)}
            rows, total = sum(numbers.values()), sum(values.values())
            if len(numbers) >= MIN_DISTINCT and rows >= MIN_SHARE * total:
                words = listed((repr(value) for value in values if value not in numbers), 3)
                others = f"; the others say {words}" if words else ""
                yield self.finding(
                    "low", name, rows, f"{name} is text, but {rows:,} of {total:,} rows are numbers{others}"
                )


def _is_number(text: str) -> bool:
    bare = text.strip().lstrip("-")
    if len(bare) > 1 and bare[0] == "0" and bare[1] != ".":
        return False
    return bare.replace(".", "", 1).isdecimal()
