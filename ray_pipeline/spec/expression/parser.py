"""The expression language as text: a tokenizer and a recursive-descent parser. Nothing is ever run as Python.

or < and < not < (== != < <= > >= in, is null) < + - < * / < sign < value. Every error is a `ValueError` with a hint.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NoReturn

from ray_pipeline.spec.expression.nodes import (
    BOOLEANS,
    Arithmetic,
    Column,
    Compare,
    Constant,
    In,
    IsNull,
    Logical,
    Node,
    Not,
    Scalar,
)

MAX_CHARACTERS = 10_000
MAX_NESTED = 50
MAX_OPERATORS = 200

_TOKEN = re.compile(  # `++` never steps back: a long number that goes on as a word costs linear time
    r"\s*(?:(?P<number>(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][-+]?\d++)?(?!\w))"
    r"|(?P<string>'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")"
    r"|(?P<name>(?:[^\W\d]\w*|`[^`]+`)(?:\.(?:[^\W\d]\w*|`[^`]+`))*)"
    r"|(?P<sign>==|!=|<=|>=|[-+*/<>()\[\],]))"
)
_PART = re.compile(r"`([^`]+)`|([^.`]+)")
_KEYWORDS = ("and", "or", "not", "in", "is", "null", "true", "false")
_HINTS = {
    "**": "there are no powers",
    "&&": "write `and`",
    "&": "write `and`",
    "||": "write `or`",
    "|": "write `or`",
    "<>": "write `!=`",
    "=": "write `==` to compare",
    "!": "write `not`",
    "~": "write `not`",
    "%": "the operators are + - * /",
    "'": "the string is not closed",
    '"': "the string is not closed",
    "`": "the backtick is not closed",
}


@dataclass(frozen=True)
class _Token:
    kind: Literal["number", "string", "name", "keyword", "sign", "end"]
    text: str
    at: int


def parse(text: str) -> Node:
    """The tree of an expression; raises `ValueError` with a hint where the text is none."""
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"the expression has {len(text):,} characters; at most {MAX_CHARACTERS:,} are read")
    return _Parser(text).whole()


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        start = at + len(text[at:]) - len(text[at:].lstrip())
        hint = next((hint for sign, hint in _HINTS.items() if text.startswith(sign, start)), None)
        if match is None or (hint and match["sign"] and not text.startswith(("==", "!="), start)):
            _fail(text, start, hint or "no such character here; odd column names stand in backticks")
        kind = str(match.lastgroup)
        written = match[kind]
        if written in _KEYWORDS:
            kind = "keyword"
        elif kind == "name" and written.lower() in (*_KEYWORDS, "none"):
            keyword = "null" if written.lower() == "none" else written.lower()
            hint = f"keywords are lower-case: write `{keyword}` (a column of that name stands in backticks)"
            _fail(text, start, hint)
        yield _Token(kind, written, start)  # type: ignore[arg-type]
        at = match.end()
    yield _Token("end", "", len(text))


def _fail(text: str, at: int, hint: str) -> NoReturn:
    found = text[at : at + 20]
    raise ValueError(f"{text!r}, at character {at + 1}{f' ({found!r})' if found else ' (the end)'}: {hint}")


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(_tokens(text))
        self.place = 0
        self.depth = 0
        signs = sum(
            token.kind != "end" and token.text in ("and", "or", "not", "+", "-", "*", "/") for token in self.tokens
        )
        if signs > MAX_OPERATORS:
            raise ValueError(
                f"the expression has {signs} operators; at most {MAX_OPERATORS} are read (is it a list? write `in"
                " [...]`)"
            )

    @property
    def next(self) -> _Token:
        return self.tokens[self.place]

    def accept(self, *texts: str) -> str | None:
        """The next token, if it is one of these keywords or signs; the parser then steps over it."""
        if self.next.kind in ("keyword", "sign") and self.next.text in texts:
            self.place += 1
            return self.tokens[self.place - 1].text
        return None

    def fail(self, hint: str, at: int | None = None) -> NoReturn:
        _fail(self.text, self.next.at if at is None else at, hint)

    def whole(self) -> Node:
        if len(self.tokens) == 1:
            raise ValueError("the expression is empty; write a column or a comparison such as `arr_delay > 15`")
        node = self.disjunction()
        if self.next.text == ")":
            self.fail("there is no '(' for this ')'")
        if self.next.text == "(":
            self.fail("there are no functions; write + - * / and comparisons")
        if self.next.kind != "end":
            self.fail("an operator is missing before this")
        return node

    def boolean(self, node: Node, at: int) -> Node:
        if isinstance(node, Arithmetic) or (isinstance(node, Constant) and not isinstance(node.value, bool)):
            self.fail("this is a value, where a comparison or a boolean column must stand", at)
        return node

    def value(self, node: Node, at: int) -> Node:
        if isinstance(node, BOOLEANS):
            self.fail("this is true or false, where a value must stand", at)
        return node

    def number(self, node: Node, at: int) -> Node:
        if isinstance(node, Constant) and (isinstance(node.value, str | bool)):
            self.fail("+ - * / need numbers", at)
        return self.value(node, at)

    def disjunction(self) -> Node:
        self.depth += 1
        if self.depth > MAX_NESTED:
            self.fail(f"more than {MAX_NESTED} levels of nesting")
        at = self.next.at
        node = self.conjunction()
        while self.accept("or"):
            right = self.next.at
            node = Logical("or", self.boolean(node, at), self.boolean(self.conjunction(), right))
        self.depth -= 1
        return node

    def conjunction(self) -> Node:
        at = self.next.at
        node = self.negation()
        while self.accept("and"):
            right = self.next.at
            node = Logical("and", self.boolean(node, at), self.boolean(self.negation(), right))
        return node

    def negation(self) -> Node:
        negations = 0
        while self.accept("not"):
            negations += 1
        at = self.next.at
        node = self.comparison()
        if negations:
            self.boolean(node, at)
        return Not(node) if negations % 2 else Not(Not(node)) if negations else node

    def comparison(self) -> Node:
        at = self.next.at
        left = self.sum()
        if self.accept("is"):
            absent = self.accept("not")
            if not self.accept("null"):
                self.fail("after `is` comes `null` or `not null`; compare values with ==")
            node: Node = IsNull(self.value(left, at))
            node = Not(node) if absent else node
        elif self.next.text in ("in", "not") and self.next.kind == "keyword":
            absent = self.accept("not")
            if not self.accept("in"):
                self.fail("after `not` here comes `in [...]`")
            node = In(self.value(left, at), self.list_of_values())
            node = Not(node) if absent else node
        elif op := self.accept("==", "!=", "<", "<=", ">", ">="):
            right_at = self.next.at
            right = self.value(self.sum(), right_at)
            if isinstance(left, Constant) and isinstance(right, Constant):
                self.fail("this compares two constants; name a column", at)
            node = Compare(op, self.value(left, at), right)  # type: ignore[arg-type]
        else:
            return left
        if self.next.text in ("==", "!=", "<", "<=", ">", ">=", "is", "in") and self.next.kind in ("keyword", "sign"):
            self.fail("comparisons do not chain; write `a < b and b < c`")
        return node

    def list_of_values(self) -> tuple[Scalar, ...]:
        if not self.accept("["):
            self.fail("after `in` comes a list: `in ['a', 'b']`")
        values: list[Scalar] = []
        while not self.accept("]"):
            at = self.next.at
            value = self.sign()
            if not isinstance(value, Constant):
                self.fail("a list holds numbers or strings only (strings in quotes)", at)
            if values and isinstance(value.value, str) != isinstance(values[0], str):
                self.fail("a list holds either numbers or strings, not both", at)
            values.append(value.value)
            if self.next.text != "]" and not self.accept(","):
                self.fail("values of a list are separated by ',' and it ends with ']'")
        if not values:
            self.fail("the list is empty, nothing can be in it", self.tokens[self.place - 1].at)
        return tuple(values)

    def sum(self) -> Node:
        at = self.next.at
        node = self.product()
        while op := self.accept("+", "-"):
            right = self.next.at
            node = Arithmetic(op, self.number(node, at), self.number(self.product(), right))  # type: ignore[arg-type]
        return node

    def product(self) -> Node:
        at = self.next.at
        node = self.sign()
        while op := self.accept("*", "/"):
            right = self.next.at
            node = Arithmetic(op, self.number(node, at), self.number(self.sign(), right))  # type: ignore[arg-type]
        return node

    def sign(self) -> Node:
        at, negative = self.next.at, False
        while op := self.accept("-", "+"):
            negative ^= op == "-"
        signed = self.tokens[self.place].at != at
        node = self.atom()
        if signed:
            self.number(node, at)
        if not negative:
            return node
        return (
            Constant(-node.value)
            if isinstance(node, Constant) and not isinstance(node.value, str)
            else Arithmetic("*", Constant(-1), node)
        )

    def atom(self) -> Node:
        token = self.next
        if self.accept("("):
            node = self.disjunction()
            if not self.accept(")"):
                self.fail("a ')' is missing")
            return node
        self.place += token.kind != "end"
        if token.kind == "number":
            number = float(token.text)
            if math.isinf(number):
                self.fail("this number is too large", token.at)
            whole = not re.search("[.eE]", token.text) and int(token.text) < 2**63
            return Constant(int(token.text) if whole else number)
        if token.kind == "string":
            return Constant(token.text[1:-1].replace(token.text[0] * 2, token.text[0]))
        if token.kind == "name":
            return Column(".".join(quoted or plain for quoted, plain in _PART.findall(token.text)))
        if token.text not in ("true", "false"):
            null = token.text == "null"
            self.fail(
                (
                    "nothing equals null; write `is null` or `is not null`"
                    if null
                    else "a column, a number or a 'string' must stand here"
                ),
                token.at,
            )
        return Constant(token.text == "true")
