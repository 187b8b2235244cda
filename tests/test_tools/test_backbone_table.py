"""Every recognition family of MMAction2 works at video level, or says why."""

import re
import warnings
from pathlib import Path

import backbone_table
import pytest
import torch
from mmengine.logging import MMLogger

ROOT = Path(__file__).parents[2]
FAMILIES = {family.name: family for family in backbone_table.FAMILIES}
DOC = (ROOT / 'docs/backbones.md').read_text()


@pytest.fixture(autouse=True)
def quiet():
    # init_weights writes a line a parameter.
    logger = MMLogger.get_current_instance()
    level, threads = logger.level, torch.get_num_threads()
    logger.setLevel('ERROR')
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        yield
    logger.setLevel(level)
    torch.set_num_threads(threads)


@pytest.mark.parametrize('name', FAMILIES)
def test_family(name):
    family = FAMILIES[name]
    missing, attention = backbone_table.try_family(family)
    written = backbone_table.row(family, missing, attention)
    if missing and f'| {name} |' in DOC and written not in DOC:
        # A package that the page's writer had.
        pytest.skip(missing)
    if not missing and f'{written}\n' not in DOC:
        # A package that the page's writer did not have.
        assert re.search(rf'^\| {re.escape(name)} \|.*\| no: ', DOC, re.M)
        pytest.skip('works here, but not where the page was written')
    assert f'{written}\n' in DOC


def test_every_folder_of_stock_configs_is_tried():
    folders = {
        path.name
        for path in Path(backbone_table.RECOGNITION).iterdir()
        if path.is_dir()
    }
    # Configs for audio.
    folders.discard('tsn_audio')
    tried = {family.config.split('/')[0] for family in FAMILIES.values()}
    assert tried == folders


def test_page_is_of_this_list():
    rows = re.findall(r'^\| ([^|]+) \|', DOC, re.M)[1:]
    assert [x for x in rows if set(x) != {'-'}] == list(FAMILIES)
