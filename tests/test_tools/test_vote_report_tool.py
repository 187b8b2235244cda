"""The command line of the report page; the page has tests of its own."""

from dataclasses import replace

import numpy as np
import pytest
import vote_report as tool
from made_results import made_results
from video_files import write_video

from vll_mmaction.evaluation import clip_results, save_clip_results


@pytest.fixture
def results(tmp_path):
    files = [str(tmp_path / 'videos/1.avi'), str(tmp_path / 'videos/2.avi')]
    write_video(files[0], 8)
    return made_results(
        [[0.9, 0.1], [0.2, 0.8]],
        labels=np.array([0, 1]),
        filenames=np.array(files),
        frame_inds=np.arange(8),
        frame_offsets=np.array([0, 4, 8]),
        total_frames=np.array([8, 8]),
    )


def run(*words):
    tool.main([str(word) for word in words])


def test_tool(results, tmp_path, capsys):
    files = [tmp_path / 'a.npz', tmp_path / 'b.npz']
    for file in files:
        save_clip_results(str(file), results)
    names = tmp_path / 'names.txt'
    names.write_text('first\nsecond\n')
    out = tmp_path / 'my report'
    run(*files, '--out', out, '--titles', 'p', 'q', '--classes', names)
    printed = capsys.readouterr()
    assert printed.out == f'{out}/index.html\n'
    assert '1 of 2 videos have no pictures' in printed.err
    assert '--video-root' not in printed.err
    page = (out / 'index.html').read_text()
    assert '"classes":["first","second"]' in page
    (tmp_path / 'videos/1.avi').rename(tmp_path / 'videos/moved.avi')
    run(files[0], '--out', out)
    assert '--video-root names their folder' in capsys.readouterr().err


def test_errors(results, tmp_path, monkeypatch):
    a, b, out = tmp_path / 'a.npz', tmp_path / 'b.npz', tmp_path / 'out'
    save_clip_results(str(a), results)

    def refused(message, *words):
        with pytest.raises(SystemExit, match=f'vote_report.py: .*{message}'):
            run(*words, '--out', out)
        assert not out.exists()

    refused("no clip results at '.*b.npz'", a, b)
    save_clip_results(str(b), replace(results, labels=results.labels[::-1]))
    refused('other labels', a, b)
    titles = '--titles', 'p', 'q', 'r'
    refused('one model or two, not 3', a, b, b, *titles)
    refused('a title of its own', a, a)
    refused("no folder '/not/there'", a, '--video-root', '/not/there')
    b.write_text('a,b')
    refused('is no .npz file', b)
    monkeypatch.setattr(clip_results, '_READ_VERSIONS', (3,))
    refused('format version 2, but .* reads versions 3', a)
    out.mkdir()
    (out / 'thesis.tex').touch()
    monkeypatch.undo()
    with pytest.raises(SystemExit, match='holds other files .thesis.tex'):
        run(a, '--out', out)


def test_predictions_without_labels(results, tmp_path, capsys):
    labelled, file = tmp_path / 'a.npz', tmp_path / 'b.npz'
    save_clip_results(str(labelled), results)
    unknown = replace(results, labels=np.full(2, -1))
    save_clip_results(str(file), unknown)
    out = tmp_path / 'out'
    for results in (labelled, file, file):
        run(results, '--out', out)
    assert capsys.readouterr().out.endswith(f'{out}/videos.csv\n' * 2)
    assert not list(out.glob('*.html')) and len(list(out.glob('*.csv'))) == 1
    with pytest.raises(SystemExit, match='the videos have no labels'):
        run(file, '--out', out, '--videos', '1.avi')


def test_figures(results, tmp_path, capsys):
    file, out = tmp_path / 'a.npz', tmp_path / 'my figures'
    save_clip_results(str(file), results)
    run(file, '--out', out, '--videos', 'videos/1', '2.avi')
    assert capsys.readouterr().out.split('\n')[0] == f'{out}/votes.png'
    assert {x.name for x in out.iterdir()} == {'votes.png', 'top_classes.png'}
    with pytest.raises(SystemExit, match="no video '3'"):
        run(file, '--out', out, '--videos', '3')
