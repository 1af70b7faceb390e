"""The grammar of the Common Expression Language: text to a syntax tree."""

import re
from functools import lru_cache
from typing import Any

Node = tuple[Any, ...]

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<comment>//[^\n]*)
    | (?P<bytes>[bB](?:r?)(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'))
    | (?P<raw>[rR](?:'''.*?'''|\"\"\".*?\"\"\"|"[^"]*"|'[^']*'))
    | (?P<string>'''.*?'''|\"\"\".*?\"\"\"|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    | (?P<float>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)
    | (?P<int>0[xX][0-9a-fA-F]+[uU]?|\d+[uU]?)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<escaped>`[^`]+`)
    | (?P<op>\|\||&&|<=|>=|==|!=|[-+*/%<>!?:.,()\[\]{}])
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2}|.)", re.DOTALL)
_BINARY = (("||",), ("&&",), ("<", "<=", ">=", ">", "==", "!=", "in"), ("+", "-"), ("*", "/", "%"))


class CelSyntaxError(ValueError):
    """The text is not an expression of the language, or of the part of it that is known here."""


@lru_cache(maxsize=1024)
def parse(text: str) -> Node:
    """The syntax tree of an expression.

    Raises:
        CelSyntaxError: it does not parse.
    """
    parser = _Parser(_tokens(text))
    tree = parser.ternary()
    if parser.peek() is not None:
        raise CelSyntaxError(f"unexpected {parser.peek()} in {text!r}")
    return tree


def _tokens(text: str) -> list[tuple[str, Any]]:
    tokens: list[tuple[str, Any]] = []
    position = 0
    while text[position:].strip():
        found = _TOKEN.match(text, position)
        if found is None:
            raise CelSyntaxError(f"unexpected character at {position} in {text!r}")
        position = found.end()
        kind = str(found.lastgroup)
        if kind != "comment":
            tokens.append(_token(kind, found[kind]))
    return tokens


def _token(kind: str, text: str) -> tuple[str, Any]:
    if kind == "int":
        return "literal", int(text.rstrip("uU"), 0)
    if kind == "float":
        return "literal", float(text)
    if kind in ("string", "raw", "bytes"):
        body = text.lstrip("rRbB") if kind != "string" else text
        width = 3 if body[:3] in ("'''", '"""') else 1
        body = body[width:-width]
        return "literal", body if kind == "raw" else _ESCAPE.sub(_unescape, body)
    if kind == "escaped":
        return "name", text[1:-1]
    return ("op", "in") if text == "in" else (kind, text)


def _unescape(found: re.Match[str]) -> str:
    code = found[1]
    if code[0] in "xuU" and len(code) > 1:
        return chr(int(code[1:], 16))
    if len(code) == 3:
        return chr(int(code, 8))
    return _ESCAPES.get(code, code)


class _Parser:
    def __init__(self, tokens: list[tuple[str, Any]]) -> None:
        self._tokens, self._at = tokens, 0

    def peek(self) -> tuple[str, Any] | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _take(self, *operators: str) -> str | None:
        token = self.peek()
        if token and token[0] == "op" and token[1] in operators:
            self._at += 1
            return str(token[1])
        return None

    def _expect(self, operator: str) -> None:
        if not self._take(operator):
            raise CelSyntaxError(f"expected {operator!r}, found {self.peek()}")

    def ternary(self) -> Node:
        condition = self._binary(0)
        if not self._take("?"):
            return condition
        positive = self.ternary()
        self._expect(":")
        return "ternary", condition, positive, self.ternary()

    def _binary(self, level: int) -> Node:
        if level == len(_BINARY):
            return self._unary()
        left = self._binary(level + 1)
        while operator := self._take(*_BINARY[level]):
            left = ("binary", operator, left, self._binary(level + 1))
        return left

    def _unary(self) -> Node:
        if operator := self._take("!", "-"):
            return "unary", operator, self._unary()
        return self._member()

    def _member(self) -> Node:
        node = self._primary()
        while True:
            if self._take("."):
                optional = bool(self._take("?"))
                name = self._name()
                if not optional and self._take("("):
                    node = ("method", node, name, self._arguments(")"))
                else:
                    node = ("optional_select" if optional else "select", node, name)
            elif self._take("["):
                optional = bool(self._take("?"))
                node = ("optional_index" if optional else "index", node, self.ternary())
                self._expect("]")
            else:
                return node

    def _name(self) -> str:
        token = self.peek()
        if token is None or token[0] not in ("name", "op") or not str(token[1])[:1].isidentifier():
            raise CelSyntaxError(f"expected a name, found {token}")
        self._at += 1
        return str(token[1])

    def _arguments(self, closing: str) -> list[Node]:
        arguments: list[Node] = []
        while not self._take(closing):
            arguments.append(self.ternary())
            if not self._take(","):
                self._expect(closing)
                break
        return arguments

    def _primary(self) -> Node:
        if self._take("("):
            node = self.ternary()
            self._expect(")")
            return node
        if self._take("["):
            return "list", self._arguments("]")
        if self._take("{"):
            return "map", self._pairs()
        token = self.peek()
        if token is None or token[0] == "op":
            raise CelSyntaxError(f"unexpected {token or 'end of expression'}")
        self._at += 1
        kind, value = token
        if kind == "literal":
            return "literal", value
        if value in ("true", "false", "null"):
            return "literal", {"true": True, "false": False, "null": None}[value]
        if self._take("("):
            return "call", value, self._arguments(")")
        return "name", value

    def _pairs(self) -> list[tuple[Node, Node]]:
        pairs: list[tuple[Node, Node]] = []
        while not self._take("}"):
            key = self.ternary()
            self._expect(":")
            pairs.append((key, self.ternary()))
            if not self._take(","):
                self._expect("}")
                break
        return pairs
