"""From unpacked videos and official split files to annotation lists.

Shared by ``ucf101/prepare.py`` and ``hmdb51/prepare.py``. For each of the
three splits two lists in MMAction2's format are written, ``path label`` a
line, paths relative to the folder ``videos``, and the frames of all videos
are counted into the frame index that training reads.
"""

import argparse
import os
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Optional

from vll_mmaction.datasets import ClipSampling, FrameIndex
from vll_mmaction.video_io.frame_index import (
    default_index_path,
    load_or_build,
)

SPLITS = (1, 2, 3)
PARTS = ('train', 'val')
SHOWN = 5
"""Examples of a problem that are printed; the rest goes to a file."""


class PreparationError(RuntimeError):
    """The lists can't be made, for a reason that the user can mend."""


@dataclass
class Splits:
    """What the split files say.

    Attributes:
        classes (list[str]): Class names, by label.
        labels (dict[str, int]): Every video that they name, as
            ``class/file``, and its label.
        lists (dict[tuple[int, str], list[str]]): The videos of each (split,
            part).
    """

    classes: list
    labels: dict = field(default_factory=dict)
    lists: dict = field(
        default_factory=lambda: {(s, p): [] for s in SPLITS for p in PARTS}
    )

    def check(self) -> None:
        """Refuse a video twice in a split, in one part or in both."""
        for split in SPLITS:
            names = Counter(n for p in PARTS for n in self.lists[split, p])
            twice = [name for name, times in names.items() if times > 1]
            if twice:
                raise PreparationError(
                    f'the files of split {split} name {twice[0]} more than '
                    'once'
                )
            for part in PARTS:
                if not self.lists[split, part]:
                    raise PreparationError(
                        f'the files of split {split} name no {part} video'
                    )


@dataclass(frozen=True)
class Source:
    """One of the data sets.

    Attributes:
        name (str): As in the names of the lists.
        num_videos (int): Videos of the official release.
        read_splits (Callable): Folder of split files -> :class:`Splits`.
        split_folders (Sequence[str]): Where the split files may lie.
        video_folders (Sequence[str]): Folder names of the unpacked videos.
        unpack (str): How the videos are unpacked, for messages.
    """

    name: str
    num_videos: int
    read_splits: Callable
    split_folders: Sequence
    video_folders: Sequence
    unpack: str


def _lines(path: Path) -> Iterator:
    """Number, text and the words of each line that is not blank."""
    if not path.is_file():
        raise PreparationError(
            f'there is no split file {path}: unpack the official ones anew'
        )
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.strip():
            yield f'{path}, line {number}', line.split()


def read_ucf101_splits(folder: Path) -> Splits:
    """Read classInd.txt, trainlist0N.txt and testlist0N.txt of a folder.

    Labels count from 0.

    Raises:
        PreparationError: A file is missing or says something else.
    """
    classes = []
    for where, words in _lines(folder / 'classInd.txt'):
        if len(words) != 2 or words[0] != str(len(classes) + 1):
            raise PreparationError(
                f'{where}: wanted "{len(classes) + 1} ClassName", got '
                f'{" ".join(words)!r}'
            )
        classes.append(words[1])
    numbers = {name: label for label, name in enumerate(classes)}
    splits = Splits(classes)
    for split in SPLITS:
        for part, official in zip(PARTS, ('train', 'test')):
            file = folder / f'{official}list{split:02d}.txt'
            for where, (name, *label) in _lines(file):
                class_name = name.split('/')[0]
                if name.count('/') != 1 or class_name not in numbers:
                    raise PreparationError(
                        f'{where}: {name!r} is no video of a class of '
                        'classInd.txt'
                    )
                number = numbers[class_name]
                # The test lists have no labels.
                if label and label != [str(number + 1)]:
                    raise PreparationError(
                        f'{where}: class {class_name} is number {number + 1} '
                        f'in classInd.txt, not {" ".join(label)}'
                    )
                splits.labels[name] = number
                splits.lists[split, part].append(name)
    splits.check()
    return splits


def read_hmdb51_splits(folder: Path) -> Splits:
    """Read the files CLASS_test_splitN.txt.

    A line is a file name and a mark: 1 train, 2 test, 0 neither. Classes are
    in alphabetical order.

    Raises:
        PreparationError: A file is missing or says something else.
    """
    found = (
        re.fullmatch(r'(.+)_test_split\d\.txt', path.name)
        for path in folder.iterdir()
    )
    classes = sorted({match[1] for match in found if match})
    splits = Splits(classes)
    parts = {'1': 'train', '2': 'val', '0': None}
    for label, class_name in enumerate(classes):
        for split in SPLITS:
            file = folder / f'{class_name}_test_split{split}.txt'
            for where, words in _lines(file):
                if len(words) != 2 or words[1] not in parts:
                    raise PreparationError(
                        f'{where}: wanted a file name and 1 (train), 2 '
                        f'(test) or 0 (neither), got {" ".join(words)!r}'
                    )
                name = f'{class_name}/{words[0]}'
                splits.labels[name] = label
                if parts[words[1]]:
                    splits.lists[split, parts[words[1]]].append(name)
    splits.check()
    return splits


UCF101 = Source(
    name='ucf101',
    num_videos=13320,
    read_splits=read_ucf101_splits,
    split_folders=('ucfTrainTestlist', 'annotations'),
    video_folders=('videos', 'UCF-101'),
    unpack='unrar x UCF101.rar',
)
HMDB51 = Source(
    name='hmdb51',
    num_videos=6766,
    read_splits=read_hmdb51_splits,
    split_folders=('testTrainMulti_7030_splits', 'annotations'),
    video_folders=('videos', 'hmdb51_org'),
    unpack='unrar x hmdb51_org.rar, then unrar x each CLASS.rar in it',
)


def find_videos(names: Sequence, folder: Path, unpack: str = '') -> tuple:
    """Find the videos of the split files on the disk.

    Names may differ in case: UCF101's folder ``HandstandPushups`` holds
    files ``v_HandStandPushups_*``, and copies of it spell either otherwise.

    Args:
        names (Sequence[str]): ``class/file`` as the split files have it.
        folder (Path): The videos.
        unpack (str): How the archive is unpacked, for messages.

    Returns:
        tuple[dict[str, str], dict[str, str]]: Path on the disk, relative to
        ``folder``, of the videos that are there; reason, of the others.

    Raises:
        PreparationError: The folder does not hold classes of videos.
    """
    folders = [entry.name for entry in os.scandir(folder) if entry.is_dir()]
    if not folders:
        files = Counter(p.suffix for p in folder.iterdir()).most_common(1)
        what = f'only {files[0][0]} files' if files else 'nothing'
        raise PreparationError(
            f'{folder} has no class folders, {what}. Unpack with folders: '
            f'{unpack}'
        )
    by_class = defaultdict(list)
    for name in names:
        by_class[name.split('/')[0]].append(name)
    found, missing = {}, {}
    for class_name, videos in by_class.items():
        same = _same(class_name, folders)
        if len(same) != 1:
            alike = [x for x in folders if _letters(x) == _letters(class_name)]
            reason = f'there is no folder {class_name}'
            if alike:
                reason += f' ({alike[0]!r} looks like it: rename it back)'
            missing.update(dict.fromkeys(videos, reason))
            continue
        here = os.listdir(folder / same[0])
        for name in videos:
            files = _same(name.split('/')[1], here)
            if len(files) == 1:
                found[name] = f'{same[0]}/{files[0]}'
            elif files:
                files = ' and '.join(sorted(files))
                missing[name] = f'{files} differ in case only'
            else:
                missing[name] = 'there is no such file'
    return found, missing


def _letters(name: str) -> str:
    return re.sub(r'[^a-z0-9]', '', name.lower())


def _same(name: str, others: Sequence) -> list:
    """``name`` if it is among others, else those that differ in case only."""
    if name in others:
        return [name]
    return [other for other in others if other.lower() == name.lower()]


def _first_folder(out: Path, names: Sequence, what: str, option: str) -> Path:
    for name in names:
        if (out / name).is_dir():
            return out / name
    raise PreparationError(
        f'there are no {what} in {out}: none of the folders '
        f'{", ".join(names)} is there. Download and unpack them first (see '
        f'download.sh), or name their folder by {option}.'
    )


def _link_videos(out: Path, folder: Path) -> Path:
    """``out/videos``, where the configs look, made to lead to the videos."""
    link = out / 'videos'
    if link.exists():
        if not link.samefile(folder):
            raise PreparationError(
                f'{link} is another folder than {folder}: move it away, or '
                'choose another output folder'
            )
    elif link.is_symlink():
        raise PreparationError(f'{link} is a link to a missing folder')
    else:
        out.mkdir(parents=True, exist_ok=True)
        # Relative where it lies beside the link, so that both can move.
        near = folder.parent.resolve() == out.resolve()
        link.symlink_to(folder.name if near else folder.resolve())
    return link


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f'{path.name}.{os.getpid()}.tmp')
    temporary.write_text(text)
    os.replace(temporary, path)


def _write_lists(out: Path, texts: dict, overwrite: bool) -> None:
    """Write all files, or none if one is there with other content."""
    other = [
        name
        for name, text in texts.items()
        if (out / name).exists() and (out / name).read_text() != text
    ]
    if other and not overwrite:
        raise PreparationError(
            f'{out / other[0]} exists with other content (and '
            f'{len(other) - 1} more). Nothing was written. Move them away, '
            'or pass --overwrite.'
        )
    for name, text in texts.items():
        _write(out / name, text)


def _problems(missing: dict, bad: dict) -> str:
    """The problems of each kind in a few lines."""
    lines = []
    for title, videos in (('missing', missing), ('unreadable', bad)):
        if not videos:
            continue
        lines.append(f'{len(videos):,} {title}:')
        # A renamed folder has one reason for all its videos.
        reasons = Counter(videos.values())
        for reason, times in reasons.most_common(SHOWN):
            name = next(n for n, r in videos.items() if r == reason)
            more = f' and {times - 1:,} more' if times > 1 else ''
            lines.append(f'  {name}{more}: {reason}')
        if len(reasons) > SHOWN:
            lines.append(f'  and {len(reasons) - SHOWN:,} other reasons')
    return '\n'.join(lines)


def _report(source: Source, splits: Splits, clips: dict) -> str:
    """Videos and clips, in all and of each split."""
    total = sum(clips.values())
    lines = [
        f'{source.name}: {len(clips):,} videos of '
        f'{len(splits.labels):,} in the split files (official release: '
        f'{source.num_videos:,}), {total:,} clips of 16 frames',
        f'{"split":>7}{"train videos":>14}{"clips":>10}'
        f'{"val videos":>14}{"clips":>10}',
    ]
    for split in SPLITS:
        cells = f'{split:>7}'
        for part in PARTS:
            names = [n for n in splits.lists[split, part] if n in clips]
            cells += f'{len(names):>14,}{sum(clips[n] for n in names):>10,}'
        lines.append(cells)
    return '\n'.join(lines)


def prepare(
    source: Source,
    out: Path,
    videos: Optional[Path] = None,
    split_files: Optional[Path] = None,
    allow_missing: bool = False,
    overwrite: bool = False,
) -> str:
    """Make the annotation lists and the frame index.

    Can be called again at any time: frames that were counted are kept, and
    lists are written last, all or none.

    Args:
        source (Source): The data set.
        out (Path): ``data_root`` of the configs.
        videos (Path, optional): The unpacked videos. None looks in ``out``.
        split_files (Path, optional): The split files. None looks in ``out``.
        allow_missing (bool): Leave out missing and unreadable videos rather
            than write nothing.
        overwrite (bool): Replace lists with other content.

    Returns:
        str: The report.

    Raises:
        PreparationError: See its message. No list was written.
    """
    split_files = split_files or _first_folder(
        out, source.split_folders, 'split files', '--splits'
    )
    videos = videos or _first_folder(
        out, source.video_folders, 'videos', '--videos'
    )
    for folder in (split_files, videos):
        if not folder.is_dir():
            raise PreparationError(f'there is no folder {folder}')
    splits = source.read_splits(split_files)
    if not splits.labels:
        raise PreparationError(f'{split_files} holds no split files')
    found, missing = find_videos(list(splits.labels), videos, source.unpack)
    if not found:
        raise PreparationError(
            f'none of the {len(splits.labels):,} videos of the split files '
            f'is in {videos}:\n{_problems(missing, {})}'
        )
    if missing:
        # Counting takes a while: say so before.
        print(f'{len(missing):,} videos are missing', file=sys.stderr)
    root = _link_videos(out, videos)
    index = _count(found, root)
    entries = {name: index[_path(root, x)] for name, x in found.items()}
    bad = {n: entry.reason for n, entry in entries.items() if entry.reason}
    bad.update(
        {
            name: 'the path has a space, which a list cannot hold'
            for name, path in found.items()
            if re.search(r'\s', path)
        }
    )
    good = {n: e.frames for n, e in entries.items() if n not in bad}
    clips = {n: int(ClipSampling().count(x)) for n, x in good.items()}
    report = '\n'.join(
        [
            _report(source, splits, clips),
            f'missing: {len(missing):,}, unreadable: {len(bad):,}, spelled '
            f'in another case: {sum(n != found[n] for n in good):,}',
        ]
    )
    problem_file = out / f'{source.name}_unusable_videos.txt'
    problem_file.unlink(missing_ok=True)
    if missing or bad:
        report += f'\n{_problems(missing, bad)}\nAll of them: {problem_file}'
        lines = [
            f'{name}\t{why}\n' for name, why in {**missing, **bad}.items()
        ]
        _write(problem_file, ''.join(sorted(lines)))
        if not allow_missing:
            raise PreparationError(
                f'{report}\nNo list was written. Complete the videos and run '
                'this again (counted frames are kept), or leave these out '
                'by --allow-missing.'
            )
    texts = {
        f'{source.name}_{part}_split_{split}_videos.txt': ''.join(
            f'{found[n]} {splits.labels[n]}\n' for n in names if n in good
        )
        for (split, part), names in splits.lists.items()
    }
    # For what is done once with each video, such as writing its features.
    texts[f'{source.name}_videos.txt'] = ''.join(
        f'{found[name]} {splits.labels[name]}\n' for name in good
    )
    texts['label_map.txt'] = '\n'.join([*splits.classes, ''])
    _write_lists(out, texts, overwrite)
    return f'{report}\nWritten to {out}: {", ".join(texts)}'


def _path(root: Path, video: str) -> str:
    # As VideoClipDataset names it: the index drops the folder.
    return os.path.join(str(root), video)


def _count(found: dict, root: Path) -> FrameIndex:
    path = default_index_path(str(root), '')
    videos = [_path(root, video) for video in found.values()]
    try:
        return load_or_build(videos, path, str(root), all_facts=True)
    except ValueError as error:
        raise PreparationError(str(error)) from None


def main(source: Source, args: Optional[Sequence] = None) -> None:
    """Prepare one data set as the command line says."""
    parser = argparse.ArgumentParser(
        description=f'Makes the annotation lists of {source.name} for splits '
        '1 to 3 and counts the frames of all videos. Run it again to go on '
        'after it was stopped.'
    )
    parser.add_argument(
        'out',
        type=Path,
        nargs='?',
        default=Path('data', source.name),
        help='data_root of the configs (default: %(default)s)',
    )
    parser.add_argument(
        '--videos',
        type=Path,
        help='unpacked videos, a folder a class; out/videos is then a link '
        f'to it (default: {" or ".join(source.video_folders)} in out)',
    )
    parser.add_argument(
        '--splits',
        dest='split_files',
        type=Path,
        help='official split files (default: '
        f'{" or ".join(source.split_folders)} in out)',
    )
    parser.add_argument(
        '--allow-missing',
        action='store_true',
        help='leave out missing and unreadable videos',
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace lists that exist with other content',
    )
    try:
        report = prepare(source, **vars(parser.parse_args(args)))
    except PreparationError as error:
        sys.exit(f'{source.name}: {error}')
    print(report)
