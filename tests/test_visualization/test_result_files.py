"""Which results are read and matched, and which are refused."""

from dataclasses import replace

import numpy as np
import pytest
from clip_results import make_results

from vll_mmaction.evaluation import save_clip_results
from vll_mmaction.visualization.result_files import load_models, match_videos


@pytest.fixture
def results():
    """Three videos of 3, 1 and 2 clips with two frames each."""
    scores = np.random.default_rng(0).random((6, 4), dtype=np.float32)
    scores /= scores.sum(axis=1, keepdims=True)
    return make_results(
        np.split(scores, [3, 4]),
        [2, 0, 3],
        np.split(np.arange(12), [6, 8]),
        filenames=['a.avi', 'b.avi', 'c.avi'],
        total_frames=[7, 3, 5],
        class_names=['k', 'l', 'm', 'n'],
    )


def save(folder, **models):
    files = [str(folder / f'{name}.npz') for name in models]
    for file, model in zip(files, models.values()):
        save_clip_results(file, model)
    return files


def test_titles(results, tmp_path):
    other = replace(results, config_name=np.array('other'))
    files = save(tmp_path, x=results, y=other)
    assert list(load_models(files)) == ['some', 'other']
    assert list(load_models(files, ['p', 'q'])) == ['p', 'q']
    # Names of configs that do not tell the models apart.
    files = save(tmp_path, x=results, y=results)
    assert list(load_models(files)) == files
    for titles in (['p', 'p'], ['p']):
        with pytest.raises(ValueError, match='a title of its own'):
            load_models(files, titles)


def test_class_file(results, tmp_path):
    (file,) = save(tmp_path, x=results)
    names = tmp_path / 'names.txt'
    names.write_text('ä\nb c\nd\ne\n', encoding='utf-8')
    (loaded,) = load_models([file], class_file=names).values()
    assert loaded.class_names.tolist() == ['ä', 'b c', 'd', 'e']
    names.write_text('a\nb\n')
    with pytest.raises(ValueError, match='4 classes, but 2 names .*names.txt'):
        load_models([file], class_file=names)
    names.write_bytes(b'\xff\xfe')
    with pytest.raises(ValueError, match='names.txt is no text in UTF-8'):
        load_models([file], class_file=names)


def test_names_of_the_data_set_are_found(results, tmp_path):
    videos = tmp_path / 'data/videos'
    videos.mkdir(parents=True)
    (tmp_path / 'data/label_map.txt').write_text('a\nb\nc\nd\n')
    names = np.array([str(videos / f'{k}/x.avi') for k in range(3)])
    nameless = replace(
        results, filenames=names, class_names=np.zeros(0, np.str_)
    )

    def found(model, **kwargs):
        (loaded,) = load_models(save(tmp_path, x=model), **kwargs).values()
        return loaded.class_names.tolist()

    assert found(nameless) == ['a', 'b', 'c', 'd']
    # The results' own come first; a file of other classes is none.
    assert found(replace(results, filenames=names)) == ['k', 'l', 'm', 'n']
    (videos / 'classes.txt').write_text('p\nq\n')
    assert found(nameless) == ['a', 'b', 'c', 'd']
    moved = replace(nameless, filenames=np.array(['/p/1', '/p/2', '/p/3']))
    assert found(moved) == []
    assert found(moved, video_root=str(videos)) == ['a', 'b', 'c', 'd']


def test_scores_that_are_no_numbers_are_refused(results, tmp_path):
    results.clip_scores[4, 1] = np.nan
    with pytest.raises(ValueError, match=r"1 of 6 clips .*'c.avi'"):
        load_models(save(tmp_path, x=results))


def test_no_videos_are_refused(results, tmp_path):
    empty = replace(results, labels=results.labels[:0])
    with pytest.raises(ValueError, match='x.npz holds no videos'):
        load_models(save(tmp_path, x=empty))


def test_names_and_labels_must_fit_the_classes(results, tmp_path):
    names = replace(results, class_names=np.array(['k', 'l']))
    (file,) = save(tmp_path, x=names)
    with pytest.raises(ValueError, match='4 classes, but names of 2: .*--cl'):
        load_models([file])
    right = tmp_path / 'names.txt'
    right.write_text('a\nb\nc\nd\n')
    load_models([file], class_file=right)
    results.labels[1] = -1
    with pytest.raises(ValueError, match='x.npz holds some videos without'):
        load_models(save(tmp_path, x=results))
    results.labels[1] = 4
    with pytest.raises(ValueError, match='4 classes, but a video of label 4'):
        load_models(save(tmp_path, x=results))


def test_names_known_to_one_model_serve_both(results):
    nameless = replace(results, class_names=np.zeros(0, np.str_))
    for models in ((results, nameless), (nameless, results)):
        for model in match_videos(dict(zip('ab', models))).values():
            assert model.class_names.tolist() == ['k', 'l', 'm', 'n']


@pytest.mark.parametrize(
    'changes, message',
    [
        (dict(labels=[2, 0, 1]), "labels.*2 .'c.avi'. has 3 .* 1 .*; 1 diff"),
        (dict(filenames=['a.avi', 'b.avi', 'd.avi']), 'video 2 .*c.avi .*d.a'),
        (dict(filenames=['b.avi', 'a.avi', 'c.avi']), 'another order.*2 diff'),
        (dict(filenames=['b.avi'], labels=[0]), 'on 3 and 1 videos'),
        (dict(class_names=list('klmx')), "class 3 is 'n' in the one and 'x'"),
        (dict(clip_scores=np.ones((6, 5)) / 5), '4 and 5 classes'),
    ],
)
def test_other_tests_are_refused(results, changes, message):
    changes = {k: np.array(v) for k, v in changes.items()}
    with pytest.raises(ValueError, match=f"^'a' and 'b'.*{message}"):
        match_videos(dict(a=results, b=replace(results, **changes)))
