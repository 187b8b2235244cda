"""The documentation as data: code blocks, links, headings, inline code."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from stock_tools import ROOT

PAGES = [
    *(
        path
        for path in (ROOT / 'README.md', ROOT / 'CONTRIBUTING.md')
        if path.exists()
    ),
    *sorted((ROOT / 'docs').rglob('*.md')),
    *sorted((ROOT / 'tools').rglob('*.md')),
]
_MARKDOWN = MarkdownIt('commonmark').enable('table')


@dataclass(frozen=True)
class Block:
    """A code block.

    Attributes:
        page (Path): The file it stands in.
        line (int): Line of its first line of code, from 1.
        language (str): What follows the fence, 'text' if nothing does; '' for
            an indented block.
        text (str): The code.
    """

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f'{self.page.name}:{self.line}'


def blocks(page: Path) -> list[Block]:
    """Code blocks of a page, also those in lists and quotes."""
    return [
        Block(
            page,
            token.map[0] + 2,
            token.info.strip() or dict(fence='text').get(token.type, ''),
            token.content,
        )
        for token in _MARKDOWN.parse(page.read_text())
        if token.type in ('fence', 'code_block')
    ]


def _inline(page: Path) -> list:
    return [
        child
        for token in _MARKDOWN.parse(page.read_text())
        if token.type == 'inline'
        for child in token.children
    ]


def links(page: Path) -> list[str]:
    """Where the links and pictures of a page lead."""
    names = dict(link_open='href', image='src')
    found = _inline(page)
    return [x.attrs[names[x.type]] for x in found if x.type in names]


def inline_code(page: Path) -> list[str]:
    """What stands in backticks in the text of a page."""
    return [x.content for x in _inline(page) if x.type == 'code_inline']


def anchors(page: Path) -> set[str]:
    """Anchors of the headings of a page, as GitHub makes them."""
    tokens = _MARKDOWN.parse(page.read_text())
    found: Counter = Counter()
    for heading, text in zip(tokens, tokens[1:]):
        if heading.type == 'heading_open':
            words = ''.join(
                x.content
                for x in text.children
                if x.type in ('text', 'code_inline')
            )
            slug = re.sub(r'[^\w\- ]', '', words.lower()).replace(' ', '-')
            if found[slug]:
                found[f'{slug}-{found[slug]}'] += 1
            found[slug] += 1
    return set(found)
