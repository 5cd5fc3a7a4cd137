"""What each key of a spec means: the sentence below the field in the source of its class."""

import ast
import inspect
import textwrap
from functools import cache

from pydantic import BaseModel


@cache
def field_docs(kind: type[BaseModel]) -> dict[str, str]:
    """Return the sentence of each field that has one, by the name under which a file writes the field.

    >>> from ray_pipeline.spec.sections import Explain
    >>> field_docs(Explain)["rows"]
    'Test rows on which the model is explained; 0 for none.'
    """
    sentences: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            sentences |= _written_in(base)
    fields = kind.model_fields
    return {fields[name].alias or name: text for name, text in sentences.items() if name in fields}


def _written_in(kind: type[BaseModel]) -> dict[str, str]:
    try:
        source = inspect.getsource(kind)
    except OSError:  # made by `create_model`, not written in a file
        return {}
    (tree,) = ast.parse(textwrap.dedent(source)).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, below in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            match below:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    found[field.target.id] = " ".join(text.split())
    return found
