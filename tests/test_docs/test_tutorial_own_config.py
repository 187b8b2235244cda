"""Follows docs/tutorial_own_config.md to the letter, on small clips."""

import re
import shlex
from pathlib import Path

import pages
import pytest
from mmengine.config import Config
from stock_tools import ROOT, run_tool
from video_files import write_dataset

from vll_mmaction.models import VideoLevelLoss, VideoLevelRecognizer3D

PAGE = ROOT / 'docs/tutorial_own_config.md'

# All that differs from the page: it has to run on a CPU within a minute.
SMALL = """
_base_ = 'vll_slowonly.py'
_base_.train_pipeline[5].update(scale=(32, 32))
_base_.test_pipeline[4].update(crop_size=32)
loader = dict(num_workers=1)
train_dataloader = dict(
    dataset=dict(pipeline=_base_.train_pipeline), **loader)
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline), **loader)
test_dataloader = val_dataloader
load_from = None
train_cfg = dict(max_epochs=2)
"""


def blocks(language):
    return [x.text for x in pages.blocks(PAGE) if x.language == language]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'vll_slowonly.py').write_text('\n'.join(blocks('python')))
    (tmp_path / 'small.py').write_text(SMALL)
    data = tmp_path / 'data/my_videos'
    write_dataset(data, [100, 40, 60])
    (data / 'ann.txt').rename(data / 'train.txt')
    (data / 'test.txt').write_text((data / 'train.txt').read_text())
    return tmp_path


def test_config_says_what_the_page_says(folder):
    config = Config.fromfile(folder / 'vll_slowonly.py')
    assert config.model.type == VideoLevelRecognizer3D.__name__
    assert config.model.backbone.type == 'ResNet3dSlowOnly'
    assert config.model.cls_head.loss_cls.type == VideoLevelLoss.__name__
    assert config.train_dataloader.sampler == dict(type='VideoGroupedSampler')
    # Stock's, untouched.
    assert config.model.cls_head.in_channels == 2048
    assert config.optim_wrapper.optimizer.type == 'SGD'


def test_train_and_test_as_the_page_says(folder):
    commands = [
        shlex.split(line) for line in blocks('bash')[1].splitlines() if line
    ]
    logs = []
    for shell, tool, config, *arguments in commands:
        assert shell == 'bash' and config == 'vll_slowonly.py'
        assert arguments.pop() == '2'
        arguments = [
            argument.replace('vll_slowonly', 'small').replace('10', '2')
            for argument in arguments
        ]
        logs.append(
            run_tool(
                Path(tool).name,
                'small.py',
                *arguments,
                0,
                '--work-dir',
                folder / 'work_dirs/small',
                cwd=folder,
            )
        )
    train, test = logs
    assert re.search(r'Epoch\(train\) .* loss_ccl: \d', train)
    for log in logs:
        assert re.search(r'acc/top1: [\d.]+ .* clip/agreement: [\d.]+', log)
