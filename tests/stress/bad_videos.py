"""Damages videos in many ways and sends them through index and readers.

Small videos of several codecs are cut, overwritten, spliced, renamed, ..., one
damage a file. Each file goes through the frame index, the reader of training
and the reader of testing. Wanted: each is refused with a reason, or gives the
very frames that decoding the file from its start gives; nothing crashes or
hangs, and no frame is wrong. Exit status 1 otherwise.

    python tests/stress/bad_videos.py --files 1000 --seed 0

Decoders run in subprocesses with a time limit, as the index runs them. At the
end what the index lets through goes through a training's data loader, in
batches of whole videos. The reference decodes a file from its start, plainly.
"""

import argparse
import collections
import multiprocessing
import os
import re
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Optional

import tools_path  # noqa: F401
import numpy as np
from bench_common import encode_video, machine, markdown
from video_zoo import Kind, oracle_frames

CROP = 48
CLIP_LEN = 8
FRAMES = 40
# Seconds that one reader may take for one small file.
LIMIT = 60
SOURCES = {
    'xvid.avi': dict(),
    'xvid_keys.avi': dict(key_frame_every=6),
    'xvid_b.avi': dict(b_frames=2, key_frame_every=12),
    'mp4v.mp4': dict(key_frame_every=12),
    'h264.mp4': dict(codec='libx264', b_frames=2),
    'h264_keys.mp4': dict(codec='libx264', key_frame_every=8),
    'h264.mkv': dict(codec='libx264', b_frames=2, key_frame_every=10),
    'vp9.webm': dict(codec='libvpx-vp9', key_frame_every=30),
    'odd.avi': dict(size=(91, 65), b_frames=2),
    'mjpeg.avi': None,
    # Long enough to be sought.
    'long_b.avi': dict(b_frames=2, key_frame_every=12, num_frames=300),
    'long.mp4': dict(
        codec='libx264',
        b_frames=2,
        variable_rate=True,
        key_frame_every=12,
        num_frames=300,
    ),
}


def make_sources(folder: Path) -> list[str]:
    """Encode a small video of each kind; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, options) in enumerate(SOURCES.items()):
        path = str(folder / name)
        if options is None:
            _write_mjpeg(path, seed=number)
            continue
        options = {'size': (96, 64), 'num_frames': FRAMES, **options}
        encode_video(path, seed=number, **options)
    return [str(folder / name) for name in SOURCES]


def _write_mjpeg(path: str, seed: int) -> None:
    import cv2

    rng = np.random.default_rng(seed)
    code = cv2.VideoWriter_fourcc(*'MJPG')
    writer = cv2.VideoWriter(path, code, 25, (96, 64))
    for _ in range(FRAMES):
        coarse = rng.integers(0, 256, (4, 6, 3)).astype(np.uint8)
        writer.write(cv2.resize(coarse, (96, 64)))
    writer.release()


# -------------------------------------------------------------------- damages


def cut(data: bytes, rng: np.random.Generator) -> bytes:
    """End at any byte."""
    return data[: rng.integers(len(data))]


def cut_in_header(data: bytes, rng: np.random.Generator) -> bytes:
    """End in the first kilobyte."""
    return data[: rng.integers(min(1024, len(data)))]


def flip(data: bytes, rng: np.random.Generator) -> bytes:
    """Other values at up to 32 places."""
    changed = bytearray(data)
    for place in rng.integers(len(data), size=rng.integers(1, 33)):
        changed[place] ^= int(rng.integers(1, 256))
    return bytes(changed)


def flip_in_header(data: bytes, rng: np.random.Generator) -> bytes:
    """Other values at up to 4 places of the first or last kilobyte."""
    head = min(1024, len(data))
    start = 0 if rng.random() < 0.7 else len(data) - head
    part = flip(data[start : start + head], rng)
    return data[:start] + part + data[start + head :]


def _block(data: bytes, rng: np.random.Generator) -> tuple[int, int]:
    """Start and end of up to a quarter."""
    size = int(rng.integers(1, max(2, len(data) // 4)))
    start = int(rng.integers(len(data) - size + 1))
    return start, start + size


def blank(data: bytes, rng: np.random.Generator) -> bytes:
    """A block of zeros or of 255."""
    start, end = _block(data, rng)
    filler = b'\0' if rng.random() < 0.5 else b'\xff'
    return data[:start] + filler * (end - start) + data[end:]


def drop_head(data: bytes, rng: np.random.Generator) -> bytes:
    """Without its start."""
    return data[rng.integers(1, min(4096, len(data))) :]


def drop_block(data: bytes, rng: np.random.Generator) -> bytes:
    """Without a block inside."""
    start, end = _block(data, rng)
    return data[:start] + data[end:]


def repeat_block(data: bytes, rng: np.random.Generator) -> bytes:
    """A block twice."""
    start, end = _block(data, rng)
    return data[:end] + data[start:]


def append(data: bytes, rng: np.random.Generator) -> bytes:
    """Noise at the end."""
    return data + rng.bytes(int(rng.integers(1, 8192)))


def lie_about_frames(data: bytes, rng: np.random.Generator) -> bytes:
    """Another number of frames in the header of AVI or MP4."""
    changed = bytearray(data)
    count = int(rng.choice([0, 1, 3, FRAMES * 3, 2**16, 2**31 - 1]))
    # Where the number is, counted from the tag.
    for tag, offset, order in (
        (b'avih', 24, '<I'),
        (b'vids', 32, '<I'),
        (b'stsz', 12, '>I'),
        (b'stts', 12, '>I'),
    ):
        place = data.find(tag)
        if place >= 0 and place + offset + 4 <= len(data):
            struct.pack_into(order, changed, place + offset, count)
    return bytes(changed)


def splice(data: bytes, rng: np.random.Generator, other: bytes = b'') -> bytes:
    """The start of one video, the rest of another."""
    return data[: rng.integers(len(data))] + other[rng.integers(len(other)) :]


def rename(data: bytes, rng: np.random.Generator) -> bytes:
    """As it is, under the ending of another format."""
    return data


def nothing(data: bytes, rng: np.random.Generator) -> bytes:
    """Zero bytes, or noise."""
    return rng.bytes(int(rng.choice([0, 1, 4096])))


DAMAGES: list[Callable] = [
    cut,
    cut_in_header,
    flip,
    flip_in_header,
    blank,
    drop_head,
    drop_block,
    repeat_block,
    append,
    lie_about_frames,
    splice,
    rename,
    nothing,
]
ENDINGS = ('.avi', '.mp4', '.mkv', '.webm', '.mov', '.txt')


def make_bad_videos(
    sources: Sequence[str], folder: Path, files: int, seed: int
) -> list[str]:
    """Write damaged copies of videos.

    The same seed gives the same files, but for the random ids of Matroska and
    WebM.

    Returns:
        list[str]: Their names, which tell number, damage and source.
    """
    folder.mkdir(parents=True, exist_ok=True)
    contents = [Path(source).read_bytes() for source in sources]
    names = []
    for number in range(files):
        rng = np.random.default_rng((seed, number))
        source = number % len(sources)
        damage = DAMAGES[number % len(DAMAGES)]
        data = contents[source]
        if damage is splice:
            data = splice(data, rng, contents[rng.integers(len(contents))])
        else:
            data = damage(data, rng)
        stem, ending = os.path.splitext(os.path.basename(sources[source]))
        if damage is rename:
            others = [other for other in ENDINGS if other != ending]
            ending = others[rng.integers(len(others))]
        name = f'{number:05}_{damage.__name__}_{stem}{ending}'
        (folder / name).write_bytes(data)
        names.append(name)
    return names


# -------------------------------------------------------------------- readers


def frame_hash(frame: np.ndarray) -> int:
    """Checksum of the middle of a frame, (H, W, 3) uint8; 0 of a small one."""
    height, width = frame.shape[:2]
    if height < CROP or width < CROP:
        return 0
    top, left = (height - CROP) // 2, (width - CROP) // 2
    part = frame[top : top + CROP, left : left + CROP]
    return zlib.crc32(np.ascontiguousarray(part).tobytes())


def decoded(folder: str, name: str) -> list[int]:
    """All frames, from the first on."""
    frames = oracle_frames(f'{folder}/{name}', Kind(None))
    return [frame_hash(frame) for frame in frames]


def pipeline(seek: bool = False, **sampling) -> list[dict]:
    """Transforms of training and testing, without resizing and draws."""
    crop = dict(type='CenterCrop', crop_size=CROP)
    return [
        dict(type='VideoReaderInit'),
        dict(type='SampleVideoClips', clip_len=CLIP_LEN, **sampling),
        dict(type='ReadVideoClips', transforms=[crop], seek=seek),
        dict(type='FormatShape', input_format='NCTHW'),
        dict(
            type='PackActionInputs',
            meta_keys=('filename', 'frame_inds', 'num_clips'),
        ),
    ]


def _data(folder: str, name: str, kind: str, **options):
    from mmaction.registry import DATASETS
    from mmengine.registry import init_default_scope

    import vll_mmaction  # noqa: F401

    init_default_scope('mmaction')

    ann_file = f'{folder}/{os.getpid()}.txt'
    Path(ann_file).write_text(f'{name} 0\n')
    # Serializing would collect garbage for each file, which takes long.
    more = dict(test_mode=True, serialize_data=False)
    if kind == 'VideoClipDataset':
        more.update(frame_index=f'{folder}/frame_index')
    return DATASETS.build(
        dict(
            type=f'mmaction.{kind}',
            ann_file=ann_file,
            data_prefix=dict(video=folder),
            pipeline=pipeline(**options),
            **more,
        )
    )


def clip_hashes(inputs, frame_inds) -> list[list[int]]:
    """Pairs of frame number and checksum of packed clips.

    ``inputs`` are (n, 3, CLIP_LEN, H, W), ``frame_inds`` (n * CLIP_LEN,).
    """
    frames = inputs.permute(0, 2, 3, 4, 1).flatten(0, 1).numpy()
    assert len(frames) == len(frame_inds)
    return [
        [int(number), frame_hash(frame)]
        for number, frame in zip(frame_inds, frames)
    ]


def read_for_training(
    folder: str, name: str, alone: bool = False, **options
) -> list[list[int]]:
    """All clips that training may ask for, in a batch or each alone."""
    from vll_mmaction.datasets import ClipBatch

    data = _data(folder, name, 'VideoClipDataset', **options)
    clips = range(len(data))
    found = []
    for batch in [[clip] for clip in clips] if alone else [clips]:
        for sample in data.__getitems__(ClipBatch(batch, (0, 0))):
            meta = sample['data_samples']
            assert meta.filename == f'{folder}/{name}'
            found += clip_hashes(sample['inputs'], meta.frame_inds)
    return found


def read_some_clips(folder: str, name: str) -> list[list[int]]:
    """One clip from anywhere: clip-level training."""
    return read_for_training(folder, name, max_clips=1, keep='random')


def seek_each_clip(folder: str, name: str) -> list[list[int]]:
    """Each clip on its own, sought where that is cheaper."""
    return read_for_training(folder, name, alone=True, seek=True)


def read_for_testing(folder: str, name: str) -> list[list[int]]:
    """All clips in a sample, without the index: stock VideoDataset."""
    sample = _data(folder, name, 'VideoDataset')[0]
    meta = sample['data_samples']
    return clip_hashes(sample['inputs'], meta.frame_inds)


READERS = {
    'training, all clips': read_for_training,
    'training, one clip': read_some_clips,
    'training, each clip sought': seek_each_clip,
    'testing': read_for_testing,
}


# ------------------------------------------------------------ one file each


def in_children(
    limit: float, work: Callable, tasks: Sequence[tuple]
) -> Iterator[dict]:
    """Do tasks in a fork of this process, in another after each loss.

    Args:
        limit (float): Seconds that a task may take.
        work (Callable): Called with each of ``tasks``.

    Yields:
        dict: What it returned as ``frames``, or why there is nothing:
        ``refused`` (the error), ``crashed`` (the exit code) or ``hung``.
    """
    fork = multiprocessing.get_context('fork')
    done = 0
    while done < len(tasks):
        receiver, sender = fork.Pipe(duplex=False)
        child = fork.Process(target=_child, args=(sender, work, tasks[done:]))
        child.start()
        sender.close()
        alive = True
        while alive and done < len(tasks):
            alive = receiver.poll(limit)
            try:
                answer = receiver.recv() if alive else dict(hung=limit)
            except EOFError:
                child.join()
                alive, answer = False, dict(crashed=child.exitcode)
            done += 1
            yield answer
        child.kill()
        child.join()
        receiver.close()


def _child(sender: Connection, work: Callable, tasks: Sequence[tuple]) -> None:
    # Decoders chat about every flaw.
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    for task in tasks:
        try:
            answer = dict(frames=work(*task))
        except Exception as error:
            answer = dict(refused=f'{type(error).__name__}: {error}')
        sender.send(answer)


class References:
    """Checksums of all frames of files, decoded when they are asked for."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._known: dict[str, list[int]] = {}

    def judge(self, name: str, frames: Sequence[Sequence[int]]) -> str:
        """``'read'`` if a file has these frames, else ``'wrong frames'``."""
        self.decode([name])
        return 'read' if is_part(frames, self._known[name]) else 'wrong frames'

    def decode(self, names: Sequence[str]) -> None:
        """Decode files, unless that was done."""
        todo = [name for name in names if name not in self._known]
        answers = in_children(
            LIMIT, decoded, [(self.folder, name) for name in todo]
        )
        for name, answer in zip(todo, answers):
            if 'frames' not in answer:
                # What is compared with nothing counts as wrong.
                print(f'{name}, no reference: {answer}'[:300])
            self._known[name] = answer.get('frames', [])


def is_part(frames: Sequence[Sequence[int]], whole: Sequence[int]) -> bool:
    """Whether numbered checksums are those of a decoded video."""
    return all(
        number < len(whole) and whole[number] == checksum
        for number, checksum in frames
    )


def outcome(answer: dict, name: str, references: References) -> str:
    """What became of a file in a reader: of ``OUTCOMES`` or ``LOSSES``.

    ``answer`` is of :func:`in_children`.
    """
    for kind in ('crashed', 'hung'):
        if kind in answer:
            return kind
    if 'refused' in answer:
        # Who gets the error must know which file to look at.
        return 'refused' if name in answer['refused'] else 'name missing'
    return references.judge(name, answer['frames'])


OUTCOMES = ['read', 'refused']
LOSSES = ['name missing', 'wrong frames', 'crashed', 'hung']


# -------------------------------------------------------- an epoch of training


def train_epoch(
    folder: str, names: Sequence[str], references: References
) -> dict:
    """Go through a data loader's batches of whole videos, and check them.

    Returns:
        dict: Counts of ``videos``, ``replaced`` and ``lost`` (with a wrong or
        missing clip).
    """
    from mmengine.dataset import pseudo_collate
    from mmengine.registry import init_default_scope
    from torch.utils.data import DataLoader

    from vll_mmaction.datasets import (
        VideoClipDataset,
        VideoGroupedBatchSampler,
        VideoGroupedSampler,
    )

    init_default_scope('mmaction')
    ann_file = f'{folder}/all.txt'
    Path(ann_file).write_text(''.join(f'{name} 0\n' for name in names))
    data = VideoClipDataset(
        ann_file=ann_file,
        data_prefix=dict(video=folder),
        frame_index=f'{folder}/frame_index',
        pipeline=pipeline(),
        max_bad_videos=1,
    )
    sampler = VideoGroupedSampler(data, seed=0)
    loader = DataLoader(
        data,
        batch_sampler=VideoGroupedBatchSampler(sampler, batch_size=4),
        num_workers=2,
        collate_fn=pseudo_collate,
    )
    counts = collections.Counter(videos=0, replaced=0, lost=0)
    for batch in loader:
        videos = collections.defaultdict(list)
        for inputs, sample in zip(batch['inputs'], batch['data_samples']):
            videos[sample.video_id].append((inputs, sample))
        for video, clips in videos.items():
            sample = clips[0][1]
            name = os.path.basename(sample.filename)
            frames = []
            for inputs, clip in clips:
                frames += clip_hashes(inputs, clip.frame_inds)
            whole = sorted(clip.clip_id for _, clip in clips) == list(
                range(data.clip_counts[video])
            )
            one = {clip.filename for _, clip in clips} == {sample.filename}
            same = references.judge(name, frames) != 'wrong frames'
            counts.update(
                videos=1,
                lost=not (whole and one and same),
                replaced='replaces' in sample,
            )
        counts['lost'] += len(videos) != 4
    return dict(counts)


# ----------------------------------------------------------------- the command


def run(folder: Path, args: argparse.Namespace) -> bool:
    """Make the files, send them through everything, print what came out.

    Returns:
        bool: Whether nothing was lost.
    """
    sources = args.videos
    if not sources:
        sources = [str(folder / 'sources' / name) for name in SOURCES]
        # In a new process: libvpx fails once decord has been loaded.
        process = multiprocessing.get_context('spawn').Process(
            target=make_sources, args=(folder / 'sources',)
        )
        process.start()
        process.join()
    names = make_bad_videos(sources, folder / 'videos', args.files, args.seed)
    videos = str(folder / 'videos')

    from vll_mmaction.video_io.frame_index import load_or_build

    started = time.monotonic()
    index = load_or_build(
        [f'{videos}/{name}' for name in names],
        f'{videos}/frame_index',
        videos,
    )
    entries = {name: index[f'{videos}/{name}'] for name in names}
    reasons = collections.Counter(
        # Of however many frames.
        re.sub(r'after \d+', 'after n', entry.reason.partition(':')[0])
        or 'taken'
        for entry in entries.values()
    )
    sought = sum(bool(entry.keys) for entry in entries.values())
    references = References(videos)
    taken = [name for name in names if entries[name].frames]
    references.decode(taken)
    found = {reader: collections.Counter() for reader in READERS}
    for reader, read in READERS.items():
        tried = names if read is read_for_testing else taken
        tasks = [(videos, name) for name in tried]
        for name, answer in zip(tried, in_children(LIMIT, read, tasks)):
            kind = outcome(answer, name, references)
            found[reader][kind] += 1
            if kind in LOSSES:
                print(f'{name}, {reader}: {kind} {answer}'[:300])
    tasks = [(videos, names, references)]
    (answer,) = in_children(60 + args.files, train_epoch, tasks)
    epoch = answer.get('frames') or dict(videos=0, replaced=0, lost=1)
    if 'frames' not in answer:
        print(f'An epoch of training: {answer}')

    print(f'\n{len(names)} files, seed {args.seed}. {machine()}\n')
    rows = sorted(reasons.items(), key=lambda item: -item[1])
    print(markdown(['index', 'files'], rows) + '\n')
    print(f'{sought} of the files taken can be sought.\n')
    columns = ['tried', *OUTCOMES, *LOSSES]
    rows = [
        [reader, sum(kinds.values()), *(kinds[x] for x in columns[1:])]
        for reader, kinds in found.items()
    ]
    print(markdown(['reader', *columns], rows) + '\n')
    rows = [['an epoch, whole videos', *epoch.values()]]
    print(markdown(['data loader', *epoch], rows))
    print(f'\n{time.monotonic() - started:.0f} s')
    return not epoch['lost'] and not any(
        kinds[loss] for kinds in found.values() for loss in LOSSES
    )


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the command line; 0 if nothing was lost, else 1."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument('--files', type=int, default=1000)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--videos',
        nargs='+',
        metavar='VIDEO',
        help='small videos to damage, in place of generated ones',
    )
    parser.add_argument('--folder', help='keep the files there')
    args = parser.parse_args(argv)
    if args.folder:
        return int(not run(Path(args.folder), args))
    with tempfile.TemporaryDirectory() as folder:
        return int(not run(Path(folder), args))


if __name__ == '__main__':
    sys.exit(main())
