"""The demo, on real videos and a real checkpoint with random weights."""

import os
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import cv2
import demo
import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from stock_tools import small_config
from video_files import read_video, write_video

TOOLS = Path(__file__).parents[2] / 'tools'


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    """Folder with config.py, model.pth and the names of its two classes."""
    folder = tmp_path_factory.mktemp('model')
    path = small_config(folder / 'config.py', 'clip_c3d_ucf101.py', folder)
    torch.manual_seed(0)
    network = MODELS.build(Config.fromfile(path).model)
    torch.save(dict(state_dict=network.state_dict()), folder / 'model.pth')
    (folder / 'classes.txt').write_text('run\nwalk\n')
    return folder


@pytest.fixture
def run(model, capsys):
    """Run the demo; what it printed, and how it ended."""

    def run(video, *args):
        files = [model / 'config.py', model / 'model.pth']
        args = [video, *files, '--device', 'cpu', *args]
        try:
            demo.main(list(map(str, args)))
            end = 0
        except SystemExit as error:
            end = error.code
        out = capsys.readouterr()
        return out.out + out.err, end

    return run


def test_as_a_script(tmp_path, model):
    write_video(tmp_path / 'a.avi', 20)
    command = [sys.executable, '-W', 'ignore', TOOLS / 'demo.py', 'a.avi']
    command += [model / 'config.py', model / 'model.pth', '--out', 'a.png']
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert 'a.avi (20 frames, 0.8 s)' in done.stdout
    assert re.search(r'(run|walk): [3-5] of 5 clips', done.stdout)
    assert cv2.imread(str(tmp_path / 'a.png')).shape == (540, 1200, 3)


def test_table(tmp_path, run):
    out, end = run(write_video(tmp_path / 'a.avi', 20))
    assert end == 0
    (run_row,) = re.findall(r'run +│ +(\d) │ +(\d+)% │ +(0\.\d+) │', out)
    (walk_row,) = re.findall(r'walk +│ +(\d) │ +(\d+)% │ +(0\.\d+) │', out)
    assert int(run_row[0]) + int(walk_row[0]) == 5
    assert int(run_row[1]) + int(walk_row[1]) == 100
    total = float(run_row[2]) + float(walk_row[2])
    assert total == pytest.approx(1, abs=0.002)


@pytest.mark.parametrize('suffix', ['.mp4', '.webm', '.AVI'])
def test_annotated_video(tmp_path, run, suffix):
    video = write_video(tmp_path / 'a.avi', 22)
    out = tmp_path / f'new/b{suffix}'
    text, end = run(video, '--out', out)
    assert end == 0, text
    before, after = read_video(video), read_video(out)
    assert len(after) == 22  # the tail of two frames, too
    assert after.shape[2] == 640
    for number in (0, 9, 21):
        small = cv2.resize(after[number][:480], (64, 48))
        differences = np.abs(before.astype(int) - small).mean(axis=(1, 2, 3))
        assert differences.argmin() == number
    assert os.listdir(out.parent) == [out.name]


def test_long_videos_are_written_in_bounded_memory(tmp_path, run):
    peaks = []
    for length in (60, 400):
        # 9 kB a frame read, 1 MB a frame written.
        video = write_video(tmp_path / f'{length}.avi', length)
        tracemalloc.start()
        _, end = run(video, '--out', tmp_path / f'{length}.mp4')
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert end == 0
    assert peaks[1] < peaks[0] + 2e6


HOSTILE = [
    '[red]x[/red].avi',
    '$\\frac$ %03d.avi',
    'a:b.avi',
    '-o.avi',
    'ünï çödé 视频.avi',
    'sub\n\x1b[31mfolder/x.avi',
    'x' * 230 + '.avi',
]


def test_folder_of_videos_with_hostile_names(tmp_path, run):
    folder = tmp_path / 'in[1]'
    for name in HOSTILE:
        write_video(folder / 'plain.avi', 9)
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / 'plain.avi').rename(folder / name)
    write_video(folder / 'same.avi', 9)
    write_video(folder / 'same.mp4', 9, fourcc='mp4v')
    (folder / 'bad.mp4').write_text('text')
    (folder / 'notes.txt').write_text('text')
    out, end = run(folder, '--out', tmp_path / 'out')
    assert end == 'demo.py: 1 of 10 videos could not be used'
    assert 'bad.mp4 cannot be used as a video: ' in out
    assert '\x1b[31m' not in out
    good = [*HOSTILE, 'same.avi', 'same.mp4']
    assert f'{len(good)} videos' in out
    written = [
        str(x.relative_to(tmp_path / 'out'))
        for x in (tmp_path / 'out').rglob('*.*')
    ]
    assert sorted(written) == sorted(f'{name}.png' for name in good)


def test_name_that_is_no_text(tmp_path, run):
    write_video(tmp_path / 'a.avi', 9)
    name = os.fsdecode(bytes(tmp_path) + b'/\xff.avi')
    os.rename(tmp_path / 'a.avi', name)
    out, end = run(name)
    assert end == 0


def test_folder_of_annotated_videos(tmp_path, run):
    write_video(tmp_path / 'in/a/b.avi', 9)
    args = '--out', tmp_path / 'out', '--format', 'mp4'
    out, end = run(tmp_path / 'in', *args)
    assert end == 0
    assert len(read_video(tmp_path / 'out/a/b.avi.mp4')) == 9


# Mistakes, named before the work starts


@pytest.mark.parametrize(
    'args, message',
    [
        (['--out', 'a.xyz'], 'its ending must be one of a picture, .png'),
        (['--out', 'a.avi'], '--out a.avi is the video itself'),
        (['--out', 'folder'], '--out folder is a folder'),
        (['--out', 'text.avi/a.png'], 'text.avi'),
        (['--classes', 'none.txt'], 'none.txt'),
        (['--classes', 'three.txt'], 'has 2 classes, but 3 names were given'),
        (['--classes', 'latin.txt'], 'latin.txt is no text in UTF-8'),
        (['--classes', 'gap.txt'], 'gap.txt, line 2 is empty'),
        (['--device', 'toaster'], '--device toaster: '),
        (['--cfg-options', 'model.type=None'], 'makes no model: '),
        (['--cfg-options', 'model.cls_head.num_classes=3'], 'number of class'),
    ],
)
def test_mistakes(tmp_path, monkeypatch, run, args, message):
    monkeypatch.chdir(tmp_path)
    write_video(Path('a.avi').absolute(), 9)
    Path('folder').mkdir()
    Path('text.avi').write_text('text')
    Path('three.txt').write_text('a\nb\nc\n')
    Path('gap.txt').write_text('a\n\nb\n')
    Path('latin.txt').write_bytes('läufer\nb\n'.encode('latin-1'))
    scored = []
    monkeypatch.setattr(demo, 'score_video', lambda *x: scored.append(x))
    _, end = run('a.avi', *args)
    assert message in str(end)
    assert str(end).startswith('demo.py: ')
    assert not scored


def test_other_mistakes(tmp_path, run):
    (tmp_path / 'empty').mkdir()
    assert run(tmp_path / 'b.avi')[1].endswith(f'no video {tmp_path}/b.avi')
    assert 'is a video by its name' in run(tmp_path / 'empty')[1]
    (tmp_path / 'file').touch()
    write_video(tmp_path / 'in/a.avi', 9)
    _, end = run(tmp_path / 'in', '--out', tmp_path / 'file')
    assert 'a folder of videos needs a folder' in end
    assert run(tmp_path / 'in/a.avi', '--format', 'mp4')[1] == 2


def test_config_that_is_not_there(tmp_path, model):
    video = write_video(tmp_path / 'a.avi', 9)
    with pytest.raises(SystemExit, match='there is no config none.py'):
        demo.main([video, 'none.py', str(model / 'model.pth')])


def test_missing_codec(tmp_path, run, monkeypatch):
    monkeypatch.setitem(demo.CODECS, '.mp4', 'zzzz')
    video = write_video(tmp_path / 'a.avi', 9)
    _, end = run(video, '--out', tmp_path / 'b.mp4')
    assert 'cannot write .mp4 here: it lacks the codec zzzz' in end
    assert not list(tmp_path.glob('*.mp4')) + list(tmp_path.glob('.demo*'))


def test_what_was_there_stays_if_writing_fails(tmp_path, run, monkeypatch):
    video = write_video(tmp_path / 'a.avi', 9)
    out = tmp_path / 'b.mp4'
    out.write_text('old')

    def fail(*args):
        raise OSError('no space left')

    monkeypatch.setattr(demo.VoteFrames, 'draw', fail)
    assert 'no space left' in run(video, '--out', out)[1]
    assert out.read_text() == 'old'
    assert sorted(os.listdir(tmp_path)) == ['a.avi', 'b.mp4']
