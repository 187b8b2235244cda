#!/usr/bin/env python
"""Writes docs/options.md: what configs may name, from the docstrings.

Example::

    python tools/docs/options.py > docs/options.md
"""

import argparse
import ast
import inspect
import re
from pathlib import Path

import mmaction.registry
from mmengine.registry import Registry

from vll_mmaction.datasets import ClipDatasetMixin, ClipSampling
from vll_mmaction.models import VideoAttentionHeadMixin, VideoLevelHeadMixin

ROOT = Path(__file__).parents[2]

PAGE = """\
# Configs and options

What the plugin adds to a config: every class by its registry, with its
options, and every config and tool of this repository. All of it is read from
docstrings and head comments. Written by
`python tools/docs/options.py > docs/options.md`; a test compares.

- [Classes](#classes)
- [Configs](#configs)
- [Tools](#tools)

## Classes

`custom_imports = dict(imports=['vll_mmaction'], allow_failed_imports=False)`
in a config makes them known. Arguments that are not listed are the stock
class's.

{classes}
## Configs

Files in `configs/_base_` are parts that these share.

| config | what |
| --- | --- |
{configs}

## Tools

Each says more with `--help`, or in its first lines.

| tool | what |
| --- | --- |
{tools}
"""

# Sections of a docstring whose lines are not shown: what a config's writer
# needs is what comes before them, and the arguments.
HIDDEN = 'Raises|Example|Returns|Required Keys|Added Keys'


def sections(doc: str) -> dict:
    """Parts of a Google-style docstring by name; '' is the beginning."""
    parts, name = {'': []}, ''
    for line in inspect.cleandoc(doc or '').splitlines():
        head = re.fullmatch(rf'(Args|{HIDDEN}):', line)
        name = head[1] if head else name
        parts.setdefault(name, [])
        if not head:
            parts[name].append(line)
    return {key: '\n'.join(lines).strip('\n') for key, lines in parts.items()}


def markdown(text: str) -> str:
    """Docstring markup as Markdown."""
    text = re.sub(r':\w+:`~?([^`]+)`', r'`\1`', text)
    return text.replace('``', '`')


def cell(text: str) -> str:
    """Text on one line, for a table."""
    return ' '.join(markdown(text).split()).replace('|', r'\|')


def arguments(args: str) -> list:
    """(name, type, meaning) of each argument of an ``Args`` section."""
    return re.findall(
        r'^ {4}(\w+)(?: \((.*?)\))?:\s+(.*?)(?=^ {4}\w|\Z)', args, re.M | re.S
    )


def class_text(kind: type, level: int = 4) -> str:
    """A heading, what the class is for, and a table of its arguments."""
    parts = sections(kind.__doc__)
    lines = ['#' * level + f' {kind.__name__}', '', markdown(parts[''])]
    if 'Args' in parts:
        lines += ['', '| option | type | what |', '| --- | --- | --- |']
        lines += [
            f'| `{name}` | {cell(of)} | {cell(what)} |'
            for name, of, what in arguments(parts['Args'])
        ]
    return '\n'.join([*lines, ''])


def registered(registry: Registry) -> list:
    """Our classes in a registry, those of heads apart."""
    kinds = {
        kind.__name__: kind
        for kind in registry.module_dict.values()
        if inspect.isclass(kind)
        and kind.__module__.startswith('vll_mmaction')
        and kind.__doc__  # the stand-ins of compat have none
        and not issubclass(kind, VideoLevelHeadMixin)
    }
    return [kinds[name] for name in sorted(kinds)]


def heads(prefix: str, mixin: type) -> str:
    """The heads of a mixin: one text for all."""
    names = sorted(
        name
        for name, kind in mmaction.registry.MODELS.module_dict.items()
        if inspect.isclass(kind)
        and kind.__module__.startswith('vll_mmaction')
        and name.startswith(prefix)
        and issubclass(kind, mixin)
    )
    listed = ', '.join(f'`{name}`' for name in names)
    text = class_text(mixin).split('\n', 1)[1]
    return f'#### {prefix} heads\n\n{listed}\n{text}'


def classes() -> str:
    """All classes, registry by registry."""
    # What several classes share stands with the first that names it.
    more = dict(DATASETS=[ClipDatasetMixin], TRANSFORMS=[ClipSampling])
    texts = []
    for name, registry in sorted(vars(mmaction.registry).items()):
        if not isinstance(registry, Registry):
            continue
        kinds = registered(registry)
        if kinds:
            kinds += more.get(name, [])
            texts.append(f'### {name}\n')
            texts += [class_text(kind) for kind in kinds]
        if name == 'MODELS':
            texts.append(heads('VideoLevel', VideoLevelHeadMixin))
            texts.append(heads('VideoAttention', VideoAttentionHeadMixin))
    return '\n'.join(texts)


def first_words(path: Path) -> str:
    """First sentence of a file's docstring or head comment."""
    text = path.read_text()
    doc = path.suffix == '.py' and ast.get_docstring(ast.parse(text))
    if not doc:
        comment = re.match(r'(?:#!.*\n)?((?:#.*\n)+)', text)
        doc = comment and re.sub(r'^# ?', '', comment[1], flags=re.M)
    if not doc:
        return ''
    paragraph = cell(doc.split('\n\n')[0].rstrip().removesuffix('::'))
    return re.split(r'(?<=[.:]) (?=[A-Z])', paragraph)[0].rstrip(':')


def table(paths: list) -> str:
    """Rows of files and what they say they are."""
    return '\n'.join(
        f'| [`{path.relative_to(ROOT)}`](../{path.relative_to(ROOT)}) '
        f'| {first_words(path)} |'
        for path in paths
    )


def configs() -> list:
    """Configs, those at the top first."""
    paths = (ROOT / 'configs').rglob('*.py')
    paths = [path for path in paths if '_base_' not in path.parts]
    return sorted(paths, key=lambda path: (len(path.parts), path))


def tools() -> list:
    """Programs in ``tools``."""
    found = []
    for path in sorted((ROOT / 'tools').rglob('*.*')):
        script = path.suffix == '.py' and "'__main__'" in path.read_text()
        if (script or path.suffix == '.sh') and path.parent.name != 'lib':
            found.append(path)
    return found


def page() -> str:
    """The page, Markdown."""
    return PAGE.format(
        classes=classes(), configs=table(configs()), tools=table(tools())
    )


def main() -> None:
    """Print the page."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    print(page(), end='')


if __name__ == '__main__':
    main()
