"""The examples of docs/contributing.md train and test together."""

import json

import numpy as np
import page_configs
import pages
import pytest
import sandbox
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from sandbox import PROJECT
from stock_tools import ROOT
from test_code_blocks import is_script

PAGE = ROOT / 'docs/contributing.md'
# All that differs from the page: it has to run on a CPU within seconds.
SMALL = """
_base_ = 'page.py'
_base_.train_pipeline[1].update(clip_len=4)
_base_.train_pipeline[3].update(scale=(32, 32), keep_ratio=False)
del _base_.train_pipeline[4]
loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(
    dataset=dict(pipeline=_base_.train_pipeline), **loader)
val_dataloader = dict(
    dataset=dict(pipeline=_base_.train_pipeline), **loader)
test_dataloader = val_dataloader
model = dict(
    backbone=dict(
        conv_channels=(4, 4, 8, 8, 8), fc_channels=16, input_size=(4, 32, 32)),
    cls_head=dict(in_channels=16))
train_cfg = dict(max_epochs=1, val_interval=1)
work_dir = 'work_dirs/small'
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    with sandbox.entered(tmp_path, monkeypatch):
        yield tmp_path


@pytest.fixture
def runner(folder):
    blocks = [x for x in pages.blocks(PAGE) if x.language == 'python']
    scripts = [x.text for x in blocks if is_script(x)]
    (folder / PROJECT).write_text('\n'.join(scripts))
    parts = []
    for block in blocks:
        if not is_script(block):
            page_configs.extend(parts, block.text)
    page_configs.load(parts, folder / 'page.py')
    (folder / 'small.py').write_text(SMALL)
    rng = np.random.default_rng(0)
    data = folder / 'data/my_videos'
    (data / 'videos').mkdir(parents=True)
    for part in ('train', 'test'):
        lines = []
        for number, length in enumerate((9, 30, 17)):
            name = f'{part}{number}.npy'
            video = rng.integers(0, 256, (length, 40, 48, 3), dtype=np.uint8)
            np.save(data / 'videos' / name, video)
            lines.append(f'{name} {number % 2}\n')
        (data / f'{part}.txt').write_text(''.join(lines))
    return Runner.from_cfg(Config.fromfile(folder / 'small.py'))


def test_examples_train_and_test(runner, folder):
    head = runner.model.cls_head
    assert type(head).__name__ == 'MyHead'
    assert type(head.loss_cls.ccl).__name__ == 'CentreDistanceLoss'
    before = [x.clone() for x in runner.model.parameters()]
    runner.train()
    dataset = runner.train_dataloader.dataset
    assert dataset.clip_counts.tolist() == [2, 7, 4]
    assert not torch.equal(before[0], next(runner.model.parameters()))
    (log,) = folder.glob('work_dirs/small/*/vis_data/scalars.json')
    logged = {}
    for line in log.read_text().splitlines():
        logged.update(json.loads(line))
    assert logged['loss_ccl'] > 0
    assert logged['acc/top1'] >= 0


def test_the_vote_rule_of_the_page(runner):
    head = runner.model.cls_head
    probs = torch.tensor([[0.9, 0.1], [0.45, 0.55], [0.45, 0.55]])
    # Two clips vote for the second class, one, surer, for the first.
    score = head.average_clip(probs.log(), num_segs=3)
    torch.testing.assert_close(score, torch.tensor([[0.9, 1.1]]) / 3)
