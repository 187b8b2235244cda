#!/usr/bin/env python
"""Shows how the clips of a video vote: class, top 5, picture or video.

The clips of the config's test pipeline are scored and vote. Without --out the
result is printed; with it, it is also drawn: a picture of the votes over time,
or the video itself with the votes below its frames. In place of a video a
folder of videos may stand; the pictures then go into the folder --out.

Videos may be of any length: they are read frame by frame.

Example::

    python tools/demo.py data/quickstart/test/up_0002.avi \\
        configs/quickstart/vll_c3d_finetune.py \\
        work_dirs/quickstart/vll_c3d_finetune/epoch_4.pth --out up.png
"""

import argparse
import itertools
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Optional

import cv2
import numpy as np
import torch
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text
from torch import nn

import vll_mmaction  # noqa: F401  (before mmaction.models is imported)
from vll_mmaction.apis import init_video_recognizer, score_video
from vll_mmaction.evaluation.class_names import read_class_names
from vll_mmaction.video_io.frame_source import read_frames
from vll_mmaction.video_io.video_file import VideoFile
from vll_mmaction.visualization.vote_plots import printable
from vll_mmaction.visualization.vote_timeline import (
    VideoVote,
    VoteFrames,
    draw_timeline,
    time_text,
)

PICTURES = ('.png', '.jpg', '.pdf', '.svg')
CODECS = {
    '.mp4': 'mp4v',
    '.mov': 'mp4v',
    '.avi': 'MJPG',
    '.mkv': 'MJPG',
    '.webm': 'VP80',
}
"""What OpenCV's own build writes. Browsers play .webm."""

VIDEOS = ('.3gp', '.asf', '.avi', '.flv', '.m4v', '.mkv', '.mov', '.mp4')
VIDEOS += ('.mpeg', '.mpg', '.mts', '.ogv', '.ts', '.webm', '.wmv')
"""What is taken for a video in a folder."""

THUMBNAIL_HEIGHT = 120
DEFAULT_FPS = 25
"""Where the file does not say how fast it is."""


def parse_args(args: Optional[Sequence] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('video', type=Path, help='video, or folder of videos')
    parser.add_argument('config', help='config of the model')
    parser.add_argument('checkpoint', help='file or URL')
    parser.add_argument(
        '--out',
        type=Path,
        help=f'picture ({", ".join(PICTURES)}) or annotated video '
        f'({", ".join(CODECS)}) to write; for a folder of videos, a folder',
    )
    parser.add_argument(
        '--format',
        choices=[x[1:] for x in (*PICTURES, *CODECS)],
        help='what to write for each video of a folder (default: png)',
    )
    parser.add_argument(
        '--classes',
        type=Path,
        help='file of class names, line k for label k (default: what config, '
        "checkpoint or the data set's folder say)",
    )
    parser.add_argument(
        '--device', help='cpu, cuda:0, ... (default: a GPU if there is one)'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='changes of the config, key=value; fewer clips at once, if '
        'memory is short: model.test_cfg.max_testing_views=4',
    )
    args = parser.parse_args(args)
    if args.format and not args.video.is_dir():
        parser.error(
            '--format is for a folder of videos: name a file by --out'
        )
    return args


# What is to be done, and whether it can be


def find_videos(folder: Path) -> list[Path]:
    """All videos in a folder and below, sorted."""
    found = [x for x in folder.rglob('*') if x.is_file()]
    videos = sorted(x for x in found if x.suffix.lower() in VIDEOS)
    if not videos:
        raise ValueError(
            f'no file in {folder} is a video by its name ({", ".join(VIDEOS)})'
        )
    return videos


def plan(args: argparse.Namespace) -> list[tuple]:
    """Each video and what to write for it, None for nothing."""
    if not args.video.exists():
        raise ValueError(f'there is no video {args.video}')
    if not args.video.is_dir():
        if args.out:
            check_kind(args.out)
            if args.out.exists() and args.out.samefile(args.video):
                raise ValueError(f'--out {args.out} is the video itself')
        return [(args.video, args.out)]
    videos = find_videos(args.video)
    if args.out is None:
        return [(video, None) for video in videos]
    if args.out.exists() and not args.out.is_dir():
        raise ValueError(
            f'--out {args.out} is a file; a folder of videos needs a folder'
        )
    suffix = '.' + (args.format or 'png')
    # `a.avi` and `a.mp4` both have a picture of their own.
    outs = [
        args.out / f'{video.relative_to(args.video)}{suffix}'
        for video in videos
    ]
    return list(zip(videos, outs))


def check_kind(out: Path) -> None:
    """Refuse what is neither a picture nor a video by its name."""
    if out.is_dir():
        raise ValueError(
            f'--out {out} is a folder; for one video, name a file'
        )
    if out.suffix.lower() not in (*PICTURES, *CODECS):
        raise ValueError(
            f'--out {out}: its ending must be one of a picture, '
            f'{", ".join(PICTURES)}, or of a video, {", ".join(CODECS)}'
        )


def check_writable(out: Path) -> None:
    """Write something to the place of the output, and remove it."""
    with written(out) as temporary:
        if out.suffix.lower() in CODECS:
            open_writer(temporary, 25, (64, 64)).release()
        else:
            temporary.touch()
        temporary.unlink()


@contextmanager
def written(out: Path) -> Iterator[Path]:
    """A temporary file, renamed to ``out`` if all went well."""
    out.parent.mkdir(parents=True, exist_ok=True)
    # Absolute: never taken for a URL. Short, and without `%`, which OpenCV
    # takes for a numbered series.
    folder = out.parent.resolve()
    temporary = folder / f'.demo.{os.getpid()}{out.suffix.lower()}'
    try:
        yield temporary
        if temporary.exists():
            os.replace(temporary, out)
    finally:
        temporary.unlink(missing_ok=True)


def open_writer(path: Path, fps: float, size: tuple) -> cv2.VideoWriter:
    """Start to write a video."""
    codec = CODECS[path.suffix]
    writer = cv2.VideoWriter(
        str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*codec), fps, size
    )
    if not writer.isOpened():
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(f'{path.parent} cannot be written to')
        others = [x for x in CODECS if CODECS[x] != codec]
        raise ValueError(
            f'OpenCV cannot write {path.suffix} here: it lacks the codec '
            f'{codec}. Try {", ".join(others)}, or a picture (.png)'
        )
    return writer


def load_model(args: argparse.Namespace) -> nn.Module:
    """The model of the command line."""
    classes = read_class_names(args.classes) if args.classes else None
    device = args.device or get_device()
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).split('\n')[0]
        raise ValueError(f'--device {device}: {reason}') from error
    if not os.path.isfile(args.config):
        raise ValueError(f'there is no config {args.config}')
    try:
        config = Config.fromfile(args.config)
        if args.cfg_options:
            config.merge_from_dict(args.cfg_options)
        return init_video_recognizer(config, args.checkpoint, device, classes)
    except (OSError, ValueError):
        raise
    except Exception as error:  # a config is a program
        raise ValueError(
            f'{args.config} makes no model: {type(error).__name__}: {error}'
        ) from error


# One video


def frame_rate(path: str) -> float:
    """Frames a second, as the file says."""
    with VideoFile(path) as video:
        fps = float(video.stream.average_rate or 0)
    return fps if 0.1 <= fps <= 1000 else DEFAULT_FPS


def read_thumbnails(path: str, total_frames: int) -> np.ndarray:
    """As many frames as a strip has room for, (n, H, W, 3) uint8, RGB."""
    (_, first), *_ = read_frames(path, np.array([0]))
    width = round(THUMBNAIL_HEIGHT * first.shape[1] / first.shape[0])
    number = int(np.clip(8 * THUMBNAIL_HEIGHT / width, 3, 12))
    centres = (np.arange(number) + 0.5) * total_frames / number
    wanted, places = np.unique(centres.astype(np.int64), return_inverse=True)
    thumbnails = [
        cv2.cvtColor(
            cv2.resize(frame, (max(width, 1), THUMBNAIL_HEIGHT)),
            cv2.COLOR_BGR2RGB,
        )
        for _, frame in read_frames(path, wanted)
    ]
    return np.stack(thumbnails)[places]


def write_picture(vote: VideoVote, path: str, out: Path) -> None:
    """Write the picture of a video's votes."""
    figure = draw_timeline(vote, read_thumbnails(path, vote.total_frames))
    with written(out) as temporary:
        figure.savefig(temporary, dpi=150)


def write_video(vote: VideoVote, path: str, out: Path, step: Callable) -> None:
    """Write the video with its votes, a frame at a time."""
    frames = read_frames(path, np.arange(vote.total_frames))
    with written(out) as temporary:
        first = next(frames)
        drawn = VoteFrames(vote, first[1].shape[:2])
        writer = open_writer(temporary, vote.fps, drawn.size)
        try:
            for number, frame in itertools.chain([first], frames):
                writer.write(drawn.draw(number, frame))
                step(number + 1, vote.total_frames)
        finally:
            writer.release()
        # OpenCV does not say when it could not write.
        capture = cv2.VideoCapture(str(temporary), cv2.CAP_FFMPEG)
        if not capture.isOpened() or not capture.grab():
            raise OSError(f'{out} could not be written: is the disk full?')
        capture.release()


def run_video(
    model: nn.Module, video: Path, out: Optional[Path], progress: Progress
) -> VideoVote:
    """Score a video and write its output."""
    task = progress.add_task(f'scoring {shown(video.name)}', total=None)

    def step(done: int, total: int) -> None:
        progress.update(task, completed=done, total=total)

    try:
        results = score_video(model, str(video), step)
        path = str(results.filenames[0])
        vote = VideoVote(results, frame_rate(path))
        if out is not None and out.suffix.lower() in CODECS:
            progress.reset(task, description=f'writing {shown(out.name)}')
            write_video(vote, path, out, step)
        elif out is not None:
            write_picture(vote, path, out)
    finally:
        progress.remove_task(task)
    return vote


# What is printed


def shown(text: object) -> str:
    """A name without markup of rich and what is no letter."""
    return printable(str(text)).replace('[', r'\[')


def table_of(vote: VideoVote) -> Table:
    """The best classes of a video."""
    length = time_text(vote.total_frames / vote.fps)
    title = f'{vote.name} ({vote.total_frames} frames, {length})'
    table = Table(title=Text(f'{title}\n{vote}'), title_justify='left')
    table.add_column('class')
    for name in ('votes', 'share', 'mean probability'):
        table.add_column(name, justify='right')
    for name, votes, mean in zip(vote.names, vote.votes, vote.mean):
        share = f'{votes / vote.num_views:.0%}'
        table.add_row(Text(name), str(votes), share, f'{mean:.3f}')
    return table


def table_of_folder(folder: Path, votes: dict) -> Table:
    """The winner of each video."""
    table = Table(title=f'{len(votes)} videos', title_justify='left')
    for name in ('video', 'class'):
        table.add_column(name, overflow='fold')
    for name in ('votes', 'mean probability'):
        table.add_column(name, justify='right')
    for video, vote in votes.items():
        name = Text(printable(str(video.relative_to(folder))))
        share = f'{vote.votes[0]} of {vote.num_views}'
        table.add_row(name, Text(vote.names[0]), share, f'{vote.mean[0]:.3f}')
    return table


def run(args: argparse.Namespace) -> tuple[dict, int]:
    """Do what the command line says.

    Returns:
        tuple[dict, int]: Reasons of the videos that failed, and how many
        videos there were.
    """
    jobs = plan(args)
    for suffix in {out.suffix for _, out in jobs if out is not None}:
        out = next(out for _, out in jobs if out.suffix == suffix)
        check_writable(out)
    model = load_model(args)
    folder = args.video.is_dir()
    votes, failed = {}, {}
    console = Console(stderr=True)
    bar = Progress(
        console=console, transient=True, disable=not console.is_terminal
    )
    with bar as progress:
        task = progress.add_task('videos', total=len(jobs), visible=folder)
        for video, out in jobs:
            try:
                votes[video] = run_video(model, video, out, progress)
            except (OSError, ValueError) as error:
                if not folder:
                    raise
                failed[video] = error
            progress.advance(task)
    console = Console()
    if folder:
        console.print(table_of_folder(args.video, votes))
    else:
        console.print(table_of(votes[args.video]))
    if args.out and votes:
        console.print(Text(f'written: {printable(str(args.out))}'))
    return failed, len(jobs)


def main(args: Optional[Sequence] = None) -> None:
    """Run the command line."""
    args = parse_args(args)
    try:
        failed, total = run(args)
    except (OSError, ValueError) as error:
        sys.exit(f'demo.py: {printable(str(error))}')
    except KeyboardInterrupt:
        sys.exit(130)
    for video, error in failed.items():
        text = printable(f'demo.py: {video}: {error}')
        print(text, file=sys.stderr)
    if failed:
        sys.exit(f'demo.py: {len(failed)} of {total} videos could not be used')


if __name__ == '__main__':
    main()
