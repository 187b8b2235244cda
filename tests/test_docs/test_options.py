"""docs/options.md is what tools/docs/options.py writes."""

import runpy

import pytest
from stock_tools import ROOT

options = runpy.run_path(str(ROOT / 'tools/docs/options.py'))


def test_page_is_up_to_date():
    written = (ROOT / 'docs/options.md').read_text()
    assert written == options['page'](), (
        'Run: python tools/docs/options.py > docs/options.md'
    )


def test_every_config_and_tool_says_what_it_is():
    for path in options['configs']() + options['tools']():
        assert options['first_words'](path), path


def test_docstrings_become_markdown():
    doc = """Say :func:`f` of ``x``.

    More.

    Args:
        one (int | str): A value
            of two lines. Defaults to 1.
        kwargs: The rest.

    Raises:
        ValueError: Hidden.
    """
    kind = type('Kind', (), dict(__doc__=doc))
    assert options['class_text'](kind).splitlines() == [
        '#### Kind',
        '',
        'Say `f` of `x`.',
        '',
        'More.',
        '',
        '| option | type | what |',
        '| --- | --- | --- |',
        r'| `one` | int \| str | A value of two lines. Defaults to 1. |',
        '| `kwargs` |  | The rest. |',
    ]


@pytest.mark.parametrize(
    'text', ['"""A tool.\n\nMore."""', '# A tool.\n#\n# M']
)
def test_first_words(tmp_path, text):
    path = tmp_path / 'x.py'
    path.write_text(text + '\n')
    assert options['first_words'](path) == 'A tool.'
