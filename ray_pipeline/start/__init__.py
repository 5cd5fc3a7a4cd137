"""Start: from a user's own tables to a commented spec that runs as it stands.

In: the path of a label table, and paths of feature tables.
Out: a `Draft`, and its text: YAML with the reason of each choice as a comment.
May import: profiling, checks, data and what is below them; no Ray is started.
"""

from ray_pipeline.start.draft import Draft
from ray_pipeline.start.label import Candidate
from ray_pipeline.start.propose import propose
from ray_pipeline.start.write import text_of

__all__ = ["Candidate", "Draft", "propose", "text_of"]
