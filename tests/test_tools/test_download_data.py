"""The download step, from local files in place of the official addresses."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / 'tools/data'

pytestmark = pytest.mark.skipif(
    not shutil.which('curl'), reason='needs curl, as the tool does'
)


def bash(*words, **environment):
    run = subprocess.run(
        ['bash', *map(str, words)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return run.returncode, run.stdout


def fetch(url, file):
    script = f'set -euo pipefail; source {DATA}/lib/download.sh; fetch "$@"'
    return bash('-c', script, 'fetch', url.as_uri(), file, 'Rar!')


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / 'on the server.rar'
    path.write_bytes(b'Rar!' + os.urandom(5000))
    return path


def test_resumes(archive, tmp_path):
    file = tmp_path / 'my data/set.rar'
    file.parent.mkdir()
    Path(f'{file}.part').write_bytes(archive.read_bytes()[:2000])
    code, output = fetch(archive, file)
    assert code == 0, output
    assert '(5004 bytes, 2000 of them here)' in output
    assert file.read_bytes() == archive.read_bytes()
    assert not Path(f'{file}.part').exists()
    code, output = fetch(archive, file)
    assert (code, output) == (0, f'{file} is there\n')


def test_whole_part_is_not_fetched_again(archive, tmp_path):
    file = tmp_path / 'set.rar'
    shutil.copy(archive, f'{file}.part')
    code, output = fetch(archive, file)
    assert (code, output) == (0, '')
    assert file.is_file()


def test_a_web_page_is_refused(tmp_path):
    page = tmp_path / 'page.rar'
    page.write_text('<html>This page has moved</html>')
    code, output = fetch(page, tmp_path / 'set.rar')
    assert code == 1
    assert "does not start with 'Rar!'" in output
    assert not (tmp_path / 'set.rar').exists()


def test_another_file_is_left_alone(archive, tmp_path):
    part = tmp_path / 'set.rar.part'
    part.write_bytes(b'x' * 9000)
    code, output = fetch(archive, tmp_path / 'set.rar')
    assert code == 1
    assert 'is longer than' in output
    assert part.stat().st_size == 9000


def test_gone(tmp_path):
    code, output = fetch(tmp_path / 'gone.rar', tmp_path / 'set.rar')
    assert code == 1
    assert 'No answer from' in output


FAKE_UNRAR = """#!/bin/bash
[[ $1 == x ]] || exit 1
source=${@: -2:1} target=${@: -1}
tail -c +5 "$source" | tar xf - -C "$target"
"""


def pack(archive, folder):
    """A 'Rar!' archive that the fake unrar unpacks."""
    tar = subprocess.run(
        ['tar', 'cf', '-', '-C', str(folder), '.'],
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    archive.write_bytes(b'Rar!' + tar)


def test_hmdb51_archive_of_archives(tmp_path):
    tools = tmp_path / 'bin'
    tools.mkdir()
    (tools / 'unrar').write_text(FAKE_UNRAR)
    (tools / 'unrar').chmod(0o755)
    classes = tmp_path / 'classes'
    classes.mkdir()
    for name in ('chew', 'climb_stairs'):
        videos = tmp_path / 'videos' / name
        (videos / name).mkdir(parents=True)
        (videos / name / f'#a_({name}).avi').touch()
        pack(classes / f'{name}.rar', videos)
    pack(tmp_path / 'videos.rar', classes)
    splits = tmp_path / 'splits/testTrainMulti_7030_splits'
    splits.mkdir(parents=True)
    (splits / 'chew_test_split1.txt').touch()
    pack(tmp_path / 'splits.rar', tmp_path / 'splits')
    out = tmp_path / 'my data'
    for _ in range(2):
        code, output = bash(
            DATA / 'hmdb51/download.sh',
            out,
            PATH=f'{tools}:{os.environ["PATH"]}',
            HMDB51_URL=(tmp_path / 'videos.rar').as_uri(),
            HMDB51_SPLITS_URL=(tmp_path / 'splits.rar').as_uri(),
        )
        assert code == 0, output
    found = {
        str(path.relative_to(out)) for path in out.rglob('*') if path.is_file()
    }
    assert found == {
        'hmdb51_org.rar',
        'splits.rar',
        'hmdb51_org/chew/#a_(chew).avi',
        'hmdb51_org/climb_stairs/#a_(climb_stairs).avi',
        'testTrainMulti_7030_splits/chew_test_split1.txt',
    }
