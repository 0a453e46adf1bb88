"""Python's own statements as tagged sentences: which tokens are a condition, an argument, ... as its parser says."""

from __future__ import annotations

import ast
import io
import tokenize
from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

MOST = 120  # tokens of a statement; longer ones are tables
TEXT = '""'  # stands for any text in quotes
LEFT_OUT = frozenset(
    (tokenize.NL, tokenize.NEWLINE, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
)
F_BEGINS, F_ENDS = (getattr(tokenize, f"FSTRING_{end}", -1) for end in ("START", "END"))  # tokens since Python 3.12
Place = tuple[int, int]  # line and column
Part = tuple[str, ast.AST]


class Token(NamedTuple):
    start: Place
    stop: Place
    text: str


def tagged(source: str) -> Iterator[tuple[list[str], list[str]]]:
    """Tokens and IOB2 tags of each statement of a program; of one with a block, the part before the block.

    >>> next(tagged("if not ready(1): stop()"))
    (['if', 'not', 'ready', '(', '1', ')', ':'], ['O', 'B-CONDITION', 'I-CONDITION', ...
    """
    tokens = list(_tokens(source))
    starts = [token.start for token in tokens]
    lines = [line.encode() for line in source.split("\n")]
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.stmt) or not (parts := list(_parts(node))):
            continue
        block = getattr(node, "body", None)
        stop = _place(lines, block[0].lineno, block[0].col_offset) if block else _end(lines, node)
        if block and getattr(block[0], "decorator_list", None):
            stop = _start(lines, block[0].decorator_list[0])
        mine = tokens[bisect_left(starts, _start(lines, node)) : bisect_left(starts, stop)]
        if 2 < len(mine) <= MOST:
            yield [token.text for token in mine], _tags(mine, parts, lines)


def _tokens(source: str) -> Iterator[Token]:
    """The program's tokens without comments and breaks; a text in quotes is one token, and always the same."""
    depth, start = 0, (0, 0)
    for kind, text, first, last, _ in tokenize.generate_tokens(io.StringIO(source).readline):
        if kind == F_BEGINS:
            start = first if not depth else start
            depth += 1
        elif kind == F_ENDS:
            depth -= 1
            if not depth:
                yield Token(start, last, TEXT)
        elif not depth and kind not in LEFT_OUT:
            yield Token(first, last, TEXT if kind == tokenize.STRING else text)


def _tags(tokens: list[Token], parts: list[Part], lines: list[bytes]) -> list[str]:
    tags, starts = ["O"] * len(tokens), [token.start for token in tokens]
    for kind, node in parts:
        first = bisect_left(starts, _start(lines, node))
        past = bisect_left(starts, _end(lines, node))
        tags[first:past] = [f"B-{kind}", *[f"I-{kind}"] * (past - first - 1)] if past > first else []
    return tags


def _start(lines: list[bytes], node: ast.AST) -> Place:
    return _place(lines, node.lineno, node.col_offset)  # type: ignore[attr-defined]


def _end(lines: list[bytes], node: ast.AST) -> Place:
    return _place(lines, node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]


def _place(lines: list[bytes], line: int, column: int) -> Place:
    """The parser counts bytes, the tokenizer characters."""
    return line, len(lines[line - 1][:column].decode(errors="replace"))


# -- which parts a statement has ----------------------------------------------------------------------------


def _parts(node: ast.stmt) -> Iterator[Part]:
    """The parts of a statement, none within another."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield from _signature(node)
        case ast.Expr(ast.Call() as call):
            yield from _value(call, "CALLED")
        case ast.ClassDef():
            yield from (("BASE", each) for each in node.bases)
        case ast.Assign():
            yield from (("TARGET", each) for each in node.targets)
            yield from _value(node.value, "VALUE")
        case ast.For() | ast.AsyncFor():
            yield "TARGET", node.target
            yield "SOURCE", node.iter
        case ast.With() | ast.AsyncWith():
            for item in node.items:
                yield "CONTEXT", item.context_expr
                yield from [("TARGET", item.optional_vars)] if item.optional_vars else []
        case _:
            yield from _single(node)


def _single(node: ast.stmt) -> Iterator[Part]:
    """Statements of one part."""
    match node:
        case ast.If() | ast.While() | ast.Assert():
            yield "CONDITION", node.test
        case ast.Return(ast.expr() as value):
            yield from _value(value, "RESULT")
        case ast.Raise(ast.expr() as error):
            yield "ERROR", error


def _value(value: ast.expr, kind: str) -> Iterator[Part]:
    """What is called and its arguments, where the whole value is a call; else the value."""
    if not isinstance(value, ast.Call):
        yield kind, value
        return
    yield "CALLED", value.func
    yield from (("ARGUMENT", each) for each in value.args)
    yield from (("ARGUMENT", each.value) for each in value.keywords)


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Part]:
    args = node.args
    for arg in (*args.posonlyargs, *args.args, args.vararg, *args.kwonlyargs, args.kwarg):
        if arg is not None:
            yield "PARAMETER", _name_of(arg)
            yield from [("TYPE", arg.annotation)] if arg.annotation else []
    yield from (("DEFAULT", each) for each in (*args.defaults, *args.kw_defaults) if each is not None)
    yield from [("TYPE", node.returns)] if node.returns else []


def _name_of(arg: ast.arg) -> ast.AST:
    """A parameter without its annotation."""
    end = arg.col_offset + len(arg.arg.encode())
    return ast.Name(arg.arg, lineno=arg.lineno, col_offset=arg.col_offset, end_lineno=arg.lineno, end_col_offset=end)
