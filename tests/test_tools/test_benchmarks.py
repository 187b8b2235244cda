"""The benchmarks run, and their arithmetic is right. Nothing is timed here."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import balance
import bench_common as common
import features
import growth
import host_cost
import input_path
import loss
import memory
import numpy as np
import pytest
import seeking
import selective_backward
import torch
import train_step
from torch.autograd import DeviceType
from torch.autograd.profiler_util import Interval
from torch.profiler import profile, record_function

FOLDER = Path(__file__).parents[2] / 'tools' / 'benchmarks'


def test_markdown():
    assert common.markdown(['a', 'b'], [['x', 0.12345], [3, 12345.6]]) == (
        '| a | b |\n| --- | ---: |\n| x | 0.123 |\n| 3 | 12346 |'
    )


def test_interleaved_takes_turns():
    turns = []
    rivals = {name: lambda name=name: turns.append(name) for name in 'ab'}
    seconds = common.interleaved(rivals, 2)
    assert turns == list('ababab')
    assert [len(taken) for taken in seconds.values()] == [2, 2]
    assert common.ratio([2, 9, 4], [1, 3, 2]) == 2


@pytest.mark.parametrize(
    ('name', 'videos', 'clips', 'classes'),
    [('ucf101', 9537, 107085, 101), ('hmdb51', 3570, 19667, 51)],
)
def test_real_lengths(name, videos, clips, classes):
    data = balance.load(name)
    assert len(data.counts) == len(data.groups) == videos
    assert data.counts.sum() == clips
    assert len(np.unique(data.labels)) == classes


def test_balance_arithmetic():
    assert balance.working(np.asarray([[2, 2], [4, 2]])) == 10 / 12
    steps = np.asarray([[[0, 1], [2, 3]], [[4, 5], [6, 7]]])
    counts = np.asarray([9, 1, 1, 1, 2, 2, 2, 2])
    # 9 + 1 on one rank at best; 4 and 4.
    assert balance.bound(counts, steps) == 20 / (2 * (10 + 4))
    one = np.asarray([[[0], [1]], [[2], [3]]])
    assert balance.bound(np.asarray([5, 1, 5, 1]), one) == 1
    labels = np.asarray([0, 0, 0, 1, 2, 3, 4, 5])
    assert balance.same_pairs(labels, steps) == 3 / 12


def test_no_dealing_beats_the_bound():
    counts = np.random.default_rng(0).geometric(0.1, 700)
    plain = balance.deal(counts, 4, 1, 0, balance=False)
    ours = balance.deal(counts, 4, 1, 0)
    shares = [balance.working(counts[x].sum(2)) for x in (plain, ours)]
    assert shares[0] < shares[1] <= balance.bound(counts, plain)
    # Within random steps, by the best of many tries.
    steps = balance.deal(counts[:40], 2, 2, 0, balance=False)
    bound = balance.bound(counts, steps)
    rng = np.random.default_rng(0)
    load = np.full(len(steps), np.inf)
    for _ in range(200):
        tried = rng.permuted(steps.reshape(-1, 4), axis=1).reshape(-1, 2, 2)
        load = np.minimum(load, counts[tried].sum(2).max(1))
    assert counts[steps].sum() / (2 * load.sum()) <= bound


def test_input_path():
    codecs = {'one': ('v.avi', 'mpeg4', 12, 0)}
    rows, parts = input_path.measure(1, 32, codecs)
    names = [row[0] for row in rows]
    assert {input_path.BASE, 'ours', input_path.LIMIT} <= set(names)
    assert all(len(row) == 2 for row in rows)
    assert [row[0] for row in parts] == input_path.PARTS
    decoding, *_, rest = (float(row[1]) for row in parts)
    assert decoding > 0 and rest > 0


def test_seeking(tmp_path):
    path = common.encode_video(
        str(tmp_path / 'a.mkv'),
        'libx264',
        240,
        (96, 64),
        key_frame_every=12,
        b_frames=2,
        variable_rate=True,
    )
    found = seeking.measure(path, 5)
    assert found['reading on'][0] == found['decord seeks'][0] == 0
    assert found['our seeks'][0] == 0
    # OpenCV takes all frames to be equally long.
    assert 1 <= found['OpenCV seeks'][0] <= 5
    assert all(seconds > 0 for _, seconds in found.values())


def test_loss():
    assert loss.backbone_seconds_a_clip(1, 1, 32) > 0
    row = loss.measure(2, 1, 1.0)
    assert (row['videos a batch'], len(row)) == (2, 6)
    scores = torch.rand(6, 5).softmax(1)
    torch.testing.assert_close(
        loss.pdist_loop(scores, [3, 1, 2]), loss.double_loop(scores, [3, 1, 2])
    )


def test_growth(monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', '')  # that of others is put back
    for way in growth.WAYS:
        found = growth.measure(300, way)
        assert found['clips'] > 300
    assert growth.count_frames_seconds(1) > 0


@pytest.mark.parametrize('network', memory.WAYS)
def test_ways_of_saving_memory_give_one_gradient(network):
    batch = train_step.make_batch(1, 5)
    found = {}
    for way in memory.WAYS[network]:
        model = memory.build(memory.Setting(network, 32, 2), way)
        memory.step(model, batch, way, 2)
        found[way] = [p.grad.norm() for p in model.parameters()]
    plain = torch.stack(found.pop('plain'))
    assert plain.count_nonzero() > 10
    for norms in found.values():
        torch.testing.assert_close(
            torch.stack(norms), plain, rtol=1e-3, atol=1e-6
        )


def test_parts_of_a_training_step():
    step = train_step.Step(
        train_step.VARIANTS['fp32, channels_last_3d'],
        32,
        train_step.make_batch(1, 2),
    )
    before = step.model.backbone.fc6.weight.detach().clone()
    parts, whole = step.run(), step.run(apart=False)
    assert tuple(parts) == train_step.PARTS and tuple(whole) == ('step',)
    assert all(seconds > 0 for seconds in [*parts.values(), *whole.values()])
    assert not torch.equal(before, step.model.backbone.fc6.weight)
    assert step.host_waits() == 0  # there is no GPU to wait for


def test_waits_of_a_step_are_those_between_its_ends():
    def event(name, start, end, device=DeviceType.CPU):
        return SimpleNamespace(
            name=name, time_range=Interval(start, end), device_type=device
        )

    events = [
        event('cudaDeviceSynchronize', 0, 90),  # before the step
        event(train_step.STEP, 100, 900),
        event(train_step.STEP, 150, 5000, DeviceType.CUDA),
        event('cudaMemcpyAsync', 110, 130),
        event('cudaStreamSynchronize', 130, 135),
        event('cudaLaunchKernel', 200, 300),
        event('Memcpy HtoD', 120, 500, DeviceType.CUDA),
        event('cudaDeviceSynchronize', 901, 4000),  # after it
        event('cudaDeviceSynchronize', 4001, 4010),  # the profiler's
    ]
    seconds = train_step.host_wait_seconds(reversed(events))
    assert seconds == pytest.approx(25e-6)


def test_profiler_finds_the_step_once():
    with profile() as found, record_function(train_step.STEP):
        torch.ones(2).sum()
    assert [e.name for e in found.events()].count(train_step.STEP) == 1
    assert train_step.host_wait_seconds(found.events()) == 0


@pytest.mark.skipif(
    not Path('/proc/self/clear_refs').exists(), reason='needs Linux'
)
def test_peak_of_memory():
    # In a new process: one that has done other things holds free memory that
    # is used again without a new peak.
    code = (
        'import torch, memory; torch.ones(2**26);'
        'before = memory.reset_peak(); print(memory.peak() - before);'
        'torch.ones(2**24); print(memory.peak() - before)'
    )
    output = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        cwd=FOLDER,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    ).stdout
    forgotten, grown = map(float, output.split())
    assert forgotten < 16
    assert 32 < grown < 128


@pytest.mark.parametrize(
    'tool', [balance, growth, input_path, loss, memory, seeking, train_step]
)
def test_they_say_what_they_do(tool, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', [tool.__name__, '--help'])
    with pytest.raises(SystemExit) as end:
        tool.main()
    assert end.value.code == 0
    assert '--quick' in capsys.readouterr().out


def test_balance_prints_its_tables(monkeypatch, capsys):
    monkeypatch.setattr(balance, 'RANKS', (2,))
    monkeypatch.setattr(balance, 'WINDOWS', (200,))
    arguments = ['balance', '--epochs', '1', '--videos', '1000']
    monkeypatch.setattr(sys, 'argv', arguments)
    balance.main()
    out = capsys.readouterr().out
    assert 'ucf101, 9537 training videos' in out
    assert '| 8 x 2 |' in out and '| 1,000 videos, 8 a rank |' in out


def test_selective_backward():
    found = selective_backward.measure_time(
        memory.Setting('C3D-lite', 32, 1), 2, 1
    )
    assert found['plain'] == 1
    assert all(0 < found[way] for way in ('half', 'forward', 'seconds'))


def test_host_cost(tmp_path, monkeypatch):
    monkeypatch.setattr(host_cost, 'VIDEOS', 1)
    host_cost.write_videos(tmp_path)
    found = host_cost.measure(tmp_path, 0, 1)
    assert {*host_cost.WAYS, 'plain copy'} < set(found)
    assert all(cost > 0 for cost in found.values())


def test_large_jobs():
    counts = balance.like_kinetics(5000)
    assert set(counts) <= set(range(6, 19)) and counts.max() == 18
    assert len(balance.large_jobs('few', np.tile(counts, 4), 1)) == 4


def test_features(monkeypatch, capsys):
    for name, value in dict(CLIPS=40, VIDEOS=9, CHANNELS=16, CHUNK=7).items():
        monkeypatch.setattr(features, name, value)
    monkeypatch.setattr(features, 'BATCH', 3)
    monkeypatch.setattr('sys.argv', ['features.py', '--workers', '1'])
    features.main()
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith('40 clips, ')
    assert second.startswith('160 clips, ')
