"""Links, files that are named, and the size of the README."""

import re

import pages
import pytest
from stock_tools import ROOT

IDS = [str(page.relative_to(ROOT)) for page in pages.PAGES]
FILE = re.compile(
    r'(?:configs|tools|tests|docs|vll_mmaction|requirements)/[\w./-]*\w\.\w+$'
)


@pytest.mark.parametrize('page', pages.PAGES, ids=IDS)
def test_links_lead_somewhere(page):
    for link in pages.links(page):
        if re.match(r'https?://', link):
            continue
        path, _, anchor = link.partition('#')
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in pages.anchors(target), link


@pytest.mark.parametrize('page', pages.PAGES, ids=IDS)
def test_files_that_are_named_exist(page):
    for code in pages.inline_code(page):
        if FILE.match(code):
            assert (ROOT / code).exists(), code


def linked_from(page):
    return {
        (page.parent / x.split('#')[0]).resolve() for x in pages.links(page)
    }


def test_readme_leads_to_every_page_and_fits_two_screens():
    readme, docs = ROOT / 'README.md', ROOT / 'docs'
    assert set(docs.glob('*.md')) <= linked_from(readme)
    assert len(readme.read_text().splitlines()) <= 100
    development = set((docs / 'development').glob('*.md'))
    assert development <= linked_from(docs / 'contributing.md')


def test_anchors_are_those_of_github(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text(
        '# A `b_c`, (d) & e!\n\n## A-1\n\n## a-1\n\n## [x](y.md)\n'
    )
    assert pages.anchors(page) == {'a-b_c-d--e', 'a-1', 'a-1-1', 'x'}
