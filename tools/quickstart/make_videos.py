#!/usr/bin/env python
"""Make a small data set of real videos on which video-level learning runs.

Eight classes of motion: a textured sheet behind still blobs moves left,
right, up or down, turns clockwise or counterclockwise, grows or shrinks.
Colours, textures, places and speeds are random, and a frame by itself does
not show the class. Videos have from 1 to 12 clips of 16 frames, a few are
shorter than a clip. In videos of three clips and more, some of the 16-frame
segments show another class or no motion, always less than half of them:
single clips mislead, the video as a whole does not. This is the case that
video-level learning is for.

That is the default, ``--ambiguity some``. With ``none`` all segments show the
class. With ``most`` about six of ten do not: nothing moves in most of these,
and each of the others shows some other class. A number in place of a word is
``most`` with another share than 0.6.

Left and right, and the two turns, change places in a mirror: train without
horizontal flips.

What is written to the output folder::

    train.txt, test.txt   'path label' a line, paths relative to the folder
    classes.txt           class names, line i is label i
    segments.csv          the motion that each segment really shows
    train/, test/         the videos
    make_videos.json      how the set was made; tells a complete set

Example::

    python tools/quickstart/make_videos.py data/quickstart
"""

import argparse
import csv
import json
import os
import shutil
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

MOTIONS = dict(
    left=(-1.5, 0, 0, 0),
    right=(1.5, 0, 0, 0),
    up=(0, -1.5, 0, 0),
    down=(0, 1.5, 0, 0),
    clockwise=(0, 0, 6, 0),
    counterclockwise=(0, 0, -6, 0),
    growing=(0, 0, 0, 0.06),
    shrinking=(0, 0, 0, -0.06),
)
"""Pixels to the right and down, degrees clockwise, and logarithm of the scale,
a frame at a usual pace."""

CLASSES = tuple(MOTIONS)
STILL = len(CLASSES)
"""Motion of a segment in which nothing moves."""

SPLITS = ('train', 'test')
SEGMENT = 16
"""Frames a segment: the clip length of C3D."""
MAX_SEGMENTS = 12
WIDTH, HEIGHT, FPS = 64, 48, 25
AMBIGUITIES = dict(none=0.0, some=0.3, most=0.6)
"""Share of segments that show something else than the class, aimed at; less
comes out, since short videos have room for none."""

STILL_SHARE = dict(some=0.2, most=0.8)
"""Of the distractors; the others show another class."""

CODECS = {'XVID': '.avi', 'mp4v': '.mp4', 'MJPG': '.avi'}
"""MJPG is part of OpenCV itself, the others need its FFmpeg."""

STAMP = 'make_videos.json'
GENERATOR = 1
"""Raise this when the same parameters give other videos than before."""

# The lists come last, so that what reads a set finds none until all else is
# in its place.
ENTRIES = (*SPLITS, 'segments.csv', 'classes.txt', 'test.txt', 'train.txt')

# Range of the texture's size, as the logarithm of its scale. Sizes start
# anywhere in it and come round to its other end, so size tells nothing.
LOG_SCALE = (-0.4, 0.4)
SHEET = 96
"""Side of the square after which the texture repeats."""
CELL = 6
"""Side of a cell of the texture at scale 1."""


class VideoSetError(RuntimeError):
    """The set can't be made, for a reason that the user can mend."""


@dataclass(frozen=True)
class VideoPlan:
    """What one video is to show.

    Args:
        path (str): File, relative to the output folder.
        label (int): Class of the video.
        num_frames (int): Length of the video.
        shown (tuple[int]): Motion of each 16-frame segment: a class or
            ``STILL``. The frames after the last whole segment belong to it.
        seed (tuple[int]): Where the video's random numbers start.
    """

    path: str
    label: int
    num_frames: int
    shown: tuple
    seed: tuple

    @property
    def distractors(self):
        """list[int]: Segments that show something else than the class."""
        return [i for i, m in enumerate(self.shown) if m != self.label]

    def frames_of(self, segment):
        """Return the first frame of a segment and the one after its last."""
        last = segment == len(self.shown) - 1
        end = self.num_frames if last else (segment + 1) * SEGMENT
        return segment * SEGMENT, end


def plan_videos(split, num_videos, seed=0, suffix='.avi', ambiguity='some'):
    """Choose label, length and distractor segments of each video of a split.

    Labels go round; lengths are dealt from a shuffled deck of all lengths,
    so that they are spread evenly and independent of the labels.

    Args:
        split (str): 'train' or 'test'.
        num_videos (int): Number of videos.
        seed (int): Seed of the set. Defaults to 0.
        suffix (str): File name suffix. Defaults to '.avi'.
        ambiguity (str | float): One of ``AMBIGUITIES``, or the share of 'most'
            in place of 0.6. Defaults to 'some'.

    Returns:
        list[VideoPlan]: The videos, in the order of the annotation list.
    """
    number = SPLITS.index(split)
    rng = np.random.default_rng((seed, number))
    plans, deck = [], []
    for i in range(num_videos):
        if not deck:
            # 0: a video shorter than one clip
            deck = list(rng.permutation(MAX_SEGMENTS + 1))
        segments = int(deck.pop())
        if segments:
            num_frames = SEGMENT * segments + int(rng.integers(SEGMENT))
        else:
            num_frames = int(rng.integers(SEGMENT // 2, SEGMENT))
        label = i % len(CLASSES)
        plans.append(
            VideoPlan(
                path=f'{split}/{CLASSES[label]}_{i:04d}{suffix}',
                label=label,
                num_frames=num_frames,
                shown=_choose_motions(rng, label, max(1, segments), ambiguity),
                seed=(seed, number, i),
            )
        )
    return plans


def _choose_motions(rng, label, segments, ambiguity):
    """Let some of the segments show something else.

    Less than half show one other class all through a video, or stillness. At
    'most' more do, each on its own, but no other class as often as the
    video's.
    """
    share = AMBIGUITIES.get(ambiguity, ambiguity)
    still = STILL_SHARE['some' if ambiguity == 'some' else 'most']
    others = [c for c in range(len(CLASSES)) if c != label]
    shown = [label] * segments
    if ambiguity not in ('none', 'some'):
        count = min(int(share * segments + rng.random()), segments - 1)
        for i in rng.permutation(segments)[:count]:
            shown[i] = STILL
            other = int(rng.choice(others))
            if (
                rng.random() >= still
                and shown.count(other) + 1 < segments - count
            ):
                shown[i] = other
        return tuple(shown)
    count = int(share * segments + rng.random())
    count = min(count, (segments - 1) // 2) if share else 0
    other = int(rng.choice(others))
    for i in rng.permutation(segments)[:count]:
        shown[i] = STILL if rng.random() < still else other
    return tuple(shown)


def render_video(plan):
    """Draw a video: a textured sheet that moves behind still blobs.

    Place, angle and size of the sheet start at random and come round at the
    end of their range, and a segment goes on where the one before stopped;
    only the motion changes.

    Args:
        plan (VideoPlan): What to show.

    Yields:
        np.ndarray: Frames (48, 64, 3), uint8, BGR.
    """
    rng = np.random.default_rng(plan.seed)
    sheet = _texture(rng, SHEET)
    blobs = _blobs(rng)
    # Turning and growing have their centre anywhere near the middle.
    centre = np.array([WIDTH, HEIGHT]) * rng.uniform(0.35, 0.65, 2)
    spot = rng.uniform(0, SHEET, 2)  # of the sheet, seen at the centre
    angle = rng.uniform(0, 360)
    low, high = LOG_SCALE
    size = rng.uniform(0, high - low)
    for segment, motion in enumerate(plan.shown):
        start, end = plan.frames_of(segment)
        shown = (
            (0, 0, 0, 0) if motion == STILL else [*MOTIONS.values()][motion]
        )
        *step, turn, growth = rng.uniform(0.6, 1.4) * np.array(shown)
        for _ in range(start, end):
            matrix = _sheet_per_screen(angle, low + size)
            offset = spot - matrix @ centre
            frame = cv2.warpAffine(
                sheet,
                np.column_stack([matrix, offset]),
                (WIDTH, HEIGHT),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_WRAP,
            )
            frame = frame * (1 - blobs[..., 3:]) + blobs[..., :3]
            yield np.clip(frame, 0, 255).astype(np.uint8)
            spot = (spot - matrix @ step) % SHEET
            angle = angle + turn
            size = (size + growth) % (high - low)


def _sheet_per_screen(angle, log_scale):
    """Return the 2x2 matrix from steps on the screen to steps on the sheet."""
    turned = np.deg2rad(angle)
    cos, sin = np.cos(turned), np.sin(turned)
    return np.array([[cos, sin], [-sin, cos]]) / np.exp(log_scale)


def _texture(rng, side):
    """Draw a square of smooth random colours that repeats without a seam.

    Returns:
        np.ndarray: Float32 (side, side, 3), about 0 to 255.
    """
    cells = side // CELL
    grey = rng.uniform(-110, 110, (cells, cells, 1))
    colour = rng.uniform(-60, 60, (cells, cells, 3))
    coarse = rng.uniform(70, 185, 3) + grey + colour
    coarse = np.pad(coarse, ((2, 2), (2, 2), (0, 0)), mode='wrap')
    fine = cv2.resize(
        coarse.astype(np.float32),
        None,
        fx=CELL,
        fy=CELL,
        interpolation=cv2.INTER_CUBIC,
    )
    edge = 2 * CELL
    return fine[edge:-edge, edge:-edge]


def _blobs(rng):
    """Draw a few blobs of one colour each.

    Returns:
        np.ndarray: Float32 (48, 64, 4), colours times opacity, opacity.
    """
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    layer = np.zeros((HEIGHT, WIDTH, 4), dtype=np.float32)
    for _ in range(rng.integers(1, 3, endpoint=True)):
        away = np.hypot(x - rng.uniform(0, WIDTH), y - rng.uniform(0, HEIGHT))
        opacity = np.clip(rng.uniform(4, 9) - away, 0, 1)[..., None]
        colour = np.append(rng.uniform(30, 225, 3), 1)
        layer = layer * (1 - opacity) + colour * opacity
    return layer.astype(np.float32)


def write_video(path, frames, num_frames, codec='XVID'):
    """Encode frames to a file and see that all of them arrived.

    Args:
        path (Path): File to write; its folder exists.
        frames (Iterable[np.ndarray]): Frames (48, 64, 3), uint8, BGR.
        num_frames (int): Number of frames.
        codec (str): One of ``CODECS``. Defaults to 'XVID'.

    Raises:
        VideoSetError: If the encoder is missing, or the file is not whole.
    """
    fourcc = cv2.VideoWriter_fourcc(*codec)
    writer = cv2.VideoWriter(str(path), fourcc, FPS, (WIDTH, HEIGHT))
    try:
        if not writer.isOpened():
            others = ' or '.join(c for c in CODECS if c != codec)
            raise VideoSetError(
                f'OpenCV {cv2.__version__} has no encoder {codec}, or '
                f"can't write {path}; try --codec {others}"
            )
        for frame in frames:
            writer.write(frame)
    finally:
        writer.release()
    # OpenCV's writer is silent about a full disk.
    reader = cv2.VideoCapture(str(path))
    found = int(reader.get(cv2.CAP_PROP_FRAME_COUNT))
    reader.release()
    if found != num_frames:
        raise VideoSetError(
            f'{path} has {max(0, found)} frames after writing {num_frames}; '
            'is the disk full?'
        )


def make_videos(
    out,
    num_train=208,
    num_test=104,
    seed=0,
    codec='XVID',
    ambiguity='some',
):
    """Make the set, or keep the one that is there and complete.

    A set that is not whole has no ``train.txt``, and is made anew the next
    time. Nothing but a set's own files is ever removed.

    Args:
        out (str | Path): Output folder: new, empty, or with an older set.
        num_train (int): Number of training videos. Defaults to 208.
        num_test (int): Number of test videos. Defaults to 104.
        seed (int): Seed of the set. Defaults to 0.
        codec (str): One of ``CODECS``. Defaults to 'XVID'.
        ambiguity (str | float): See :func:`plan_videos`. Defaults to 'some'.

    Returns:
        bool: Whether a set was made; False if one was kept.

    Raises:
        VideoSetError: If the folder holds other files, or can't be written,
            or the encoder is missing.
    """
    out = Path(out)
    parameters = dict(
        generator=GENERATOR,
        num_train=num_train,
        num_test=num_test,
        seed=seed,
        codec=codec,
        ambiguity=ambiguity,
    )
    if _is_complete(out, parameters):
        return False
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not (out / STAMP).exists():
            _refuse_foreign_files(out)
        _build(out, parameters)
    except OSError as error:
        raise VideoSetError(f"can't write to {out}: {error}") from error
    return True


def _build(out, parameters):
    suffix = CODECS[parameters['codec']]
    plans = {
        split: plan_videos(
            split,
            parameters[f'num_{split}'],
            parameters['seed'],
            suffix,
            parameters['ambiguity'],
        )
        for split in SPLITS
    }
    # From here on the folder is known as ours, also after a stop.
    _write_stamp(out, dict(complete=False))
    for name in reversed(ENTRIES):
        if (out / name).is_dir():
            shutil.rmtree(out / name)
        else:
            (out / name).unlink(missing_ok=True)
    for split in SPLITS:
        (out / split).mkdir()
    everything = [plan for split in SPLITS for plan in plans[split]]
    for plan in track(everything, 'writing videos'):
        frames = render_video(plan)
        codec = parameters['codec']
        write_video(out / plan.path, frames, plan.num_frames, codec)
    _write_lists(out, plans)
    sizes = {p.path: (out / p.path).stat().st_size for p in everything}
    _write_stamp(out, dict(complete=True, parameters=parameters, sizes=sizes))


def _write_lists(folder, plans):
    with open(folder / 'segments.csv', 'w', newline='') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(
            ['video', 'class', 'segment', 'start', 'end', 'shown']
            + ['distractor']
        )
        for plan in plans['train'] + plans['test']:
            for segment, motion in enumerate(plan.shown):
                writer.writerow(
                    [plan.path, CLASSES[plan.label], segment]
                    + [*plan.frames_of(segment), (*CLASSES, 'still')[motion]]
                    + [int(motion != plan.label)]
                )
    (folder / 'classes.txt').write_text('\n'.join(CLASSES) + '\n')
    for split in reversed(SPLITS):
        lines = [f'{plan.path} {plan.label}\n' for plan in plans[split]]
        (folder / f'{split}.txt').write_text(''.join(lines))


def _is_complete(out, parameters):
    """Tell whether a whole set with these parameters is there."""
    try:
        stamp = json.loads((out / STAMP).read_text())
        return (
            stamp['complete']
            and stamp['parameters'] == parameters
            and all((out / name).exists() for name in ENTRIES)
            and all(
                (out / path).stat().st_size == size
                for path, size in stamp['sizes'].items()
            )
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _write_stamp(out, content):
    new = out / f'{STAMP}.new'
    new.write_text(json.dumps(content, indent=1) + '\n')
    os.replace(new, out / STAMP)


def _refuse_foreign_files(out):
    found = sorted(p.name for p in out.iterdir() if p.name != f'{STAMP}.new')
    if found:
        raise VideoSetError(
            f'{out} is not empty and has no {STAMP} (first entry: '
            f'{found[0]}); give a new or an empty folder'
        )


def _number(text, least):
    number = int(text)
    if number < least:
        raise argparse.ArgumentTypeError(f'{number} is not at least {least}')
    return number


_count = partial(_number, least=1)
_seed = partial(_number, least=0)


def _ambiguity(text):
    if text in AMBIGUITIES:
        return text
    share = float(text)
    if not 0 <= share < 1:
        raise argparse.ArgumentTypeError(f'{text} is not from 0 to below 1')
    return share


def parse_args(args=None):
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Make a small data set of real videos, eight classes '
        'told apart by their motion.'
    )
    parser.add_argument('out', type=Path, help='output folder')
    parser.add_argument(
        '--videos',
        dest='num_train',
        type=_count,
        default=208,
        metavar='N',
        help='training videos (default: %(default)s)',
    )
    parser.add_argument(
        '--test-videos',
        dest='num_test',
        type=_count,
        default=104,
        metavar='M',
        help='test videos (default: %(default)s)',
    )
    parser.add_argument(
        '--seed', type=_seed, default=0, help='default: %(default)s'
    )
    parser.add_argument(
        '--codec',
        choices=CODECS,
        default='XVID',
        help='encoder (default: %(default)s); MJPG is in every OpenCV',
    )
    parser.add_argument(
        '--ambiguity',
        type=_ambiguity,
        default='some',
        metavar='none|some|most|SHARE',
        help='how many segments show something else than the class; a number '
        'is their share, aimed at, of which most show nothing '
        '(default: %(default)s)',
    )
    return parser.parse_args(args)


def main(args=None):
    """Make the set as the command line says."""
    args = parse_args(args)
    try:
        made = make_videos(**vars(args))
    except VideoSetError as error:
        sys.exit(f'make_videos: {error}')
    if made:
        print(f'{args.num_train} + {args.num_test} videos in {args.out}')
    else:
        print(f'{args.out} is complete, nothing to do')


if __name__ == '__main__':
    main()
