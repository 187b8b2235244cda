"""The report page: its data, its escaping, its folder."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from clip_results import make_results, voting
from video_files import write_video

from vll_mmaction.visualization import write_report

HOSTILE = [
    '</script><script>alert(1)</script>',
    '"quoted" \'name\' & <img src=x onerror=alert(1)>',
    '日本語 🎬 \u2028 \udcff',
    'a $x_1$ \\ {{ 7 * 7 }} {% raw %} --> ]]>',
]
VOID = {'meta', 'input', 'br', 'img', 'link', 'hr'}


class Page(HTMLParser):
    """Elements of a page, and that they are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.elements = []  # tag, attributes
        self.texts = []  # tag, text
        self.open = []
        self.feed(text)
        self.close()
        assert self.open == []
        data = self.text_of('script', id='report-data')
        self.data = json.loads(data) if data else None

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if self.open:
            self.texts.append((*self.open[-1], data))

    def find(self, tag, **attributes):
        return [
            attrs
            for name, attrs in self.elements
            if name == tag and attributes.items() <= attrs.items()
        ]

    def text_of(self, tag, **attributes):
        return ''.join(
            text
            for name, attrs, text in self.texts
            if name == tag and attributes.items() <= attrs.items()
        )


def results_of(votes, files):
    """Videos of labels 0, 1 and 2 whose clips vote with probability 0.7."""
    return make_results(
        [voting(x, 3, share=0.7) for x in votes],
        [0, 1, 2],
        [np.arange(4 * len(x)) for x in votes],
        filenames=files,
        total_frames=[4 * len(x) + 1 for x in votes],
        class_names=['run', 'walk', 'jump'],
    )


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp('videos')
    return [write_video(folder / f'{k}.avi', 13, seed=k) for k in range(3)]


@pytest.fixture
def models(files):
    return make_models(files)


def make_models(files):
    return {
        'clip': results_of([[0, 0, 2], [2, 2], [2, 2, 1]], files),
        'video': results_of([[0, 0, 0], [1, 2], [1, 1, 2]], files),
    }


def write(models, out, **kwargs):
    report = write_report(models, out, **kwargs)
    return report, Page(report.page.read_text(encoding='utf-8'))


@pytest.fixture(scope='module')
def written(files, tmp_path_factory):
    """A report that tests leave as it is."""
    out = tmp_path_factory.mktemp('report') / 'out'
    return write(make_models(files), out)


def test_data(written, models):
    report, page = written
    assert (report.num_videos, report.problems) == (3, {})
    data = page.data
    assert data['classes'] == ['run', 'walk', 'jump']
    assert data['names'] == models['clip'].filenames.tolist()
    assert data['labels'] == [0, 1, 2]
    clip, video = data['models']
    assert (clip['title'], video['title']) == ('clip', 'video')
    assert clip['votes'] == [[0, 0, 2], [2, 2], [2, 2, 1]]
    assert clip['winners'] == [0, 2, 2]
    # The tie of video 1 goes to the first class, as in the metric.
    assert video['winners'] == [0, 1, 1]
    assert video['agreement'] == [1, 0.5, 0.667]
    assert clip['sure'][0] == [70, 70, 70]
    assert clip['top'][1] == [2, 0, 1]
    assert clip['top_means'][1] == [0.7, 0.15, 0.15]
    assert clip['truth'][1] == 0.15
    assert clip['frames'] == [[2, 6, 10], [2, 6], [2, 6, 10]]
    assert clip['places'] == [[0, 1, 2], [0, 1], [0, 1, 2]]
    folder = report.page.parent / 'thumbs'
    assert {x.name for x in folder.iterdir()} == set(data['thumbs'])


def test_summary(written):
    _, page = written
    cards = [text.strip() for *_, text in page.texts]
    # Votes right: 2 of 3, then 2 of 3; clips right: 4 of 8, then 5 of 8.
    for text in ('66.7 %', '50.0 %', '62.5 %'):
        assert text in cards
    assert any(x.startswith('+12.5 (') for x in cards)
    buttons = [x['data-show'] for x in page.find('button') if 'data-show' in x]
    assert buttons == ['gained', 'lost', 'right', 'wrong']
    counts = [text for tag, _, text in page.texts if tag == 'b']
    assert [x for x in counts if x.isdigit()] == ['1', '1', '1', '0']
    rows = [x for x in page.find('button') if x.get('class') == 'link']
    assert [x['data-label'] for x in rows[:3]] == ['0', '1', '2']
    # Confusions: jump for walk with A, walk for jump with B.
    confused = [(x['data-label'], x['data-voted']) for x in rows[3:]]
    assert confused == [('1', '2'), ('2', '1')]


def test_tables_are_beside_the_page(written):
    report, page = written
    links = [x['href'] for x in page.find('a') if x['href'].endswith('.csv')]
    assert len(links) == 4
    assert {x.name for x in report.page.parent.glob('*.csv')} == set(links)


def test_page_stands_alone(written):
    """It asks nothing of the network, and runs no script but its own."""
    report, page = written
    for _, attrs in page.elements:
        for name in ('src', 'href', 'action', 'style'):
            value = attrs.get(name) or ''
            assert value.startswith('data:') or '//' not in value
        assert not [name for name in attrs if name.startswith('on')]
    kinds = [attrs.get('type') for attrs in page.find('script')]
    assert kinds == ['application/json', None]
    script = page.text_of('script').removeprefix(
        page.text_of('script', id='report-data')
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest())
    (policy,) = (x['content'] for x in page.find('meta') if 'http-equiv' in x)
    assert f"script-src 'sha256-{digest.decode()}'" in policy
    assert "default-src 'none'" in policy


def test_page_is_accessible(written):
    _, page = written
    ids = [attrs['id'] for _, attrs in page.elements if 'id' in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in page.elements:
        for name in ('aria-labelledby', 'aria-controls'):
            assert attrs.get(name, 'list') in ids
    assert page.find('html')[0]['lang'] == 'en'
    pictures = page.find('img')
    assert len(pictures) == 3
    assert all(x['alt'] for x in pictures)
    assert 'A 1: 66.7 %' in pictures[2]['alt']


def test_hostile_names(models, files, tmp_path):
    missing = [f'/nowhere/{name}' for name in HOSTILE[:3]]
    models = {
        title: replace(
            model,
            filenames=np.array(missing),
            class_names=np.array([HOSTILE[0], HOSTILE[1], HOSTILE[3]]),
        )
        for title, model in zip(HOSTILE, models.values())
    }
    report, page = write(models, tmp_path / 'out')
    assert list(report.problems) == missing
    text = report.page.read_text(encoding='utf-8')
    # Nothing of the data is markup, and all of it is there as data.
    assert text.count('</script>') == 2
    assert not [x for x in page.find('img') if 'svg' not in x['src']]
    for attrs in page.find('img'):  # what is no XML would not be shown
        _, encoded = attrs['src'].split('base64,')
        ElementTree.fromstring(base64.b64decode(encoded))
    assert not [x for _, x in page.elements if 'onerror' in x]
    assert page.data['names'] == missing
    assert page.data['classes'] == [HOSTILE[0], HOSTILE[1], HOSTILE[3]]
    assert [x['title'] for x in page.data['models']] == HOSTILE[:2]
    shown = [text for *_, text in page.texts]
    assert HOSTILE[3] in shown  # the table of classes


def test_models_tested_on_other_clips(models, tmp_path):
    other = models['video']
    # Every second clip.
    rows, frames = [0, 2, 3, 5, 7], []
    for first, count in ((0, 3), (12, 2), (20, 3)):
        for clip in range(0, count, 2):
            start = first + 4 * clip
            frames += other.frame_inds[start : start + 4].tolist()
    models['video'] = replace(
        other,
        clip_scores=other.clip_scores[rows],
        video_offsets=np.array([0, 2, 3, 5]),
        frame_inds=np.array(frames),
        frame_offsets=np.array([0, 8, 12, 20]),
    )
    _, page = write(models, tmp_path / 'out')
    clip, video = page.data['models']
    assert clip['frames'][0] == [2, 6, 10]
    assert video['frames'] == [[2, 10], [2], [2, 10]]
    assert video['places'] == [[0, 2], [0], [0, 2]]


def test_one_model(models, tmp_path):
    _, page = write({'clip': models['clip']}, tmp_path / 'out')
    assert len(page.data['models']) == 1
    assert not [x for x in page.find('b') if 'badge' in x.get('class', '')]
    assert page.find('option', value='wrong')
    assert not page.find('option', value='gained')
    with pytest.raises(ValueError, match='one model or two, not 3'):
        write_report(dict.fromkeys('abc', models['clip']), tmp_path / 'x')


def test_unknown_frames_and_names(models, tmp_path):
    unknown = replace(
        models['clip'],
        filenames=np.array(['', '', '']),
        frame_inds=np.zeros(0, np.int64),
        frame_offsets=np.zeros(4, np.int64),
        class_names=np.zeros(0, np.str_),
    )
    report, page = write({'clip': unknown}, tmp_path / 'out')
    assert page.data['classes'] == ['class 0', 'class 1', 'class 2']
    assert page.data['thumbs'] == ['', '', '']
    assert list(report.problems) == ['video 0', 'video 1', 'video 2']
    assert '3 of 3 videos have no pictures' in page.text_of('summary')


def test_video_root(models, files, tmp_path):
    root = os.path.dirname(files[0])
    for title, model in models.items():
        names = [f'elsewhere/{os.path.basename(x)}' for x in files]
        models[title] = replace(model, filenames=np.array(names))
    report, _ = write(models, tmp_path / 'out')
    assert len(report.problems) == 3
    report, page = write(models, tmp_path / 'out', video_root=root)
    assert not report.problems
    assert page.data['names'] == names
    with pytest.raises(ValueError, match="no folder '/not/there' of videos"):
        write_report(models, tmp_path / 'out', '/not/there')


def test_folder_is_reused_or_refused(models, tmp_path):
    out = tmp_path / 'out'
    report, page = write(models, out)
    (out / 'thumbs' / f'{"0" * 24}.jpg').touch()  # of an earlier report
    (out / '.DS_Store').touch()
    _, again = write(models, out)
    assert again.data == page.data
    assert {x.name for x in (out / 'thumbs').iterdir()} == set(
        page.data['thumbs']
    )
    (out / 'thumbs' / 'holiday.jpg').touch()
    write(models, out)
    assert (out / 'thumbs' / 'holiday.jpg').exists()
    report.page.write_text('<html>mine</html>')
    with pytest.raises(ValueError, match='holds other files'):
        write_report(models, out)
    assert report.page.read_text() == '<html>mine</html>'
    with pytest.raises(ValueError, match='index.html is a file'):
        write_report(models, report.page)


@pytest.mark.skipif(not shutil.which('chromium'), reason='needs chromium')
@pytest.mark.parametrize(
    'address, shown',
    [('search=AVI', 3), ('show=lost', 1), ('search=nothing', 0)],
)
def test_list_in_a_browser(written, tmp_path, address, shown):
    report, page = written
    run = subprocess.run(
        [
            *('chromium', '--headless', '--no-sandbox', '--disable-gpu'),
            *('--no-first-run', '--disable-background-networking'),
            *('--disable-component-update', '--disable-sync'),
            *(f'--user-data-dir={tmp_path / "browser"}', '--dump-dom'),
            *(
                '--virtual-time-budget=2000',
                f'{report.page.as_uri()}#{address}',
            ),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    dom = run.stdout
    assert dom.count('<article') == shown
    if shown == 3:
        assert all(f'thumbs/{name}' in dom for name in page.data['thumbs'])
        assert dom.count('class="picture"') == 8


def test_weights_by_attention(models, tmp_path):
    _, page = write(models, tmp_path / 'without')
    assert [x['weights'] for x in page.data['models']] == [[], []]
    assert (
        'weight by attention'
        not in (tmp_path / 'without/index.html')
        .read_text('utf-8')
        .split('<script')[0]
    )
    weights = np.array([0.5, 0.25, 0.25, 0.9, 0.1, 0, 0, 1], np.float32)
    models['video'] = replace(models['video'], clip_weights=weights)
    report, page = write(models, tmp_path / 'out')
    assert [x['weights'] for x in page.data['models']] == [
        [],
        [[0.5, 0.25, 0.25], [0.9, 0.1], [0, 0, 1]],
    ]
    text = report.page.read_text('utf-8').split('<script')[0]
    assert 'bar below a clip: its weight by attention' in text
    # The crops of a clip share a bar.
    views = np.array([3, 1, 3])
    models = dict(a=replace(models['video'], views_per_clip=views))
    _, page = write(models, tmp_path / 'crops')
    (model,) = page.data['models']
    assert model['weights'] == [[1], [0.9, 0.1], [1]]
