"""Shell blocks: run in the sandbox, but for the commands named here.

bash itself takes a block apart: with no programs on its path, each command is
recorded instead of run. A command that begins like one of ``NOT_RUN_HERE`` is
checked as far as it goes: scripts, configs and options exist, and a tool's own
parser takes the arguments. All others are run, see ``sandbox.py``.
"""

import argparse
import os
import re
import runpy
import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path
from unittest import mock

from mmengine.config import Config
from packaging.requirements import Requirement
from stock_tools import ROOT

from vll_mmaction.__main__ import find_tool

RUN_ELSEWHERE = {
    # Minutes to hours: smaller forms of the same.
    'test_tools/test_gpu_check.py': ['bash tools/gpu_check.sh'],
    'test_doctor.py': ['python -m vll_mmaction doctor'],
    'test_tools/test_quickstart.py': ['bash tools/quickstart.sh'],
    'test_tools/test_backbone_table.py': ['python tools/backbone_table.py'],
    'test_tools/test_benchmarks.py': ['python tools/benchmarks/'],
    'test_tools/test_experiments.py': ['python tools/experiments.py run'],
    'test_tools/test_prepare_data.py': [
        'python tools/data/ut_interaction/prepare.py'
    ],
    'test_zoo_configs.py': [
        'bash tools/dist_test.sh configs/slowonly/features_ucf101.py'
    ],
    'test_tools/test_stress.py': ['python tests/stress/kill_resume.py'],
    # The page's SlowOnly at its full size.
    'test_docs/test_tutorial_own_config.py': [
        'bash tools/dist_train.sh vll_slowonly.py',
        'bash tools/dist_test.sh vll_slowonly.py',
    ],
    # The network: from a server of the test's own.
    'test_tools/test_download_data.py': [
        'bash tools/data/ucf101/download.sh',
        'bash tools/data/hmdb51/download.sh',
    ],
}
"""Tests, and the beginnings of the commands that they run."""

NOT_RUN = {
    'pip install': 'gigabytes; tools/setup_env.sh, before the tests, is alike',
    'bash tools/run_tests.sh': 'it runs this test',
    'git clone URL ': 'the address of the repository; done before the tests',
    'cd vll_mmaction': 'the folder that it makes',
    'python3.11 -m venv': 'tools/setup_env.sh, before the tests, is alike',
    'source .venv/': 'the environment that it makes',
    'python -m vll_mmaction train.py vll_slowonly.py': (
        'what tools/dist_train.sh starts, which a test does'
    ),
    'python -m vll_mmaction test.py vll_slowonly.py': (
        'what tools/dist_test.sh starts, which a test does'
    ),
    'mim ': 'no requirement of the tests; tried by hand, see docs/install.md',
    'tensorboard ': 'serves until it is stopped',
    'python tools/experiments.py report mine.py': "the reader's own configs",
    'python tools/data/imagenet_checkpoint.py': 'an extra that tests lack',
    'bash tools/dist_test.sh configs/ut_interaction/features.py': (
        'videos that cannot be had here'
    ),
    'bash tools/dist_test.sh configs/fights/features/features.py': (
        'videos that cannot be had here'
    ),
    'bash tools/dist_train.sh configs/vll_c3d_ucf101.py 2 --amp': (
        'needs a GPU'
    ),
    'python tools/data/ucf101/prepare.py data/ucf101 --videos /path/to/': (
        "the reader's own folders; without them it is run"
    ),
    'python tests/stress/bad_videos.py': 'minutes to hours of stress',
    'python tests/stress/leaks.py': 'minutes to hours of stress',
    'python tests/stress/rank_faults.py': 'minutes to hours of stress',
    'python -m vll_mmaction train.py CONFIG': "the reader's own config",
    'python tools/demo.py VIDEO CONFIG': 'a usage; the next one is run',
}
"""Beginnings of commands that no test runs, and why."""

NOT_RUN_HERE = (*chain(*RUN_ELSEWHERE.values()), *NOT_RUN)

LAUNCHERS = {
    'tools/dist_train.sh': 'train.py',
    'tools/dist_test.sh': 'test.py',
}
FOLDERS = re.compile(
    r'(configs|tools|tests|docs|vll_mmaction|requirements|\.ci)/[\w./-]+$'
)

_RECORD = r"""
command_not_found_handle() { record "$@"; }
record() { printf '%s\0' "$@" >&9; printf '\n\0' >&9; }
cd() { record cd "$@"; }
source() { record source "$@"; }
set -eu
"""


class BadCommand(Exception):
    """A command of the documentation would not work; says why."""


def commands(script: str, folder: Path) -> list[list[str]]:
    """The words of each command that a shell script comes to.

    Variables, loops and quotes are bash's, which works in an empty folder.
    """
    for name in ('docs', 'work_dirs'):  # files may be written there
        (folder / name).mkdir(exist_ok=True)
    recorded = folder / 'recorded'
    run = subprocess.run(
        [shutil.which('bash'), '-c', f'exec 9>{recorded}\n{_RECORD}{script}'],
        cwd=folder,
        env=dict(PATH='/nowhere', HOME='/home/user'),
        capture_output=True,
        text=True,
        timeout=20,
    )
    if run.returncode:
        raise BadCommand(f'bash: {run.stderr}')
    found = recorded.read_text().split('\n\0')[:-1]
    return [words.split('\0')[:-1] for words in found]


def is_run_here(words: list[str]) -> bool:
    """Whether a command is run in the sandbox."""
    return not ' '.join(words).startswith(NOT_RUN_HERE)


def check(words: list[str], page_configs: dict[str, Config]) -> None:
    """See that a command would work, or raise a ``BadCommand``.

    Of those that are run, only what a run would not tell: a misspelt key of
    ``--cfg-options`` is a new key. ``page_configs`` has configs by the names
    that the page gives them.
    """
    if any(word.startswith('[-') for word in words):  # as usages have them
        words = [word.strip('[]') for word in words]
    program, *args = words
    launch = program == 'bash' and args[0] in LAUNCHERS
    if launch:
        _check_launch(args, page_configs)
    if launch or is_run_here(words):
        return
    _check_paths(words)
    if program == 'bash':
        _check_options(*args)
    elif program == 'python':
        _check_python(args, page_configs)
    elif program == 'pip':
        _check_pip(args)
    elif program == 'mim':
        _check_mim(args, page_configs)
    elif program not in ('tensorboard', 'git', 'cd', 'python3.11', 'source'):
        raise BadCommand(f'nothing is known here about the program {program}')


def _check_paths(words: list[str]) -> None:
    for word in words:
        word = word.split('=')[-1].split('::')[0]
        if FOLDERS.match(word) and not (ROOT / word).exists():
            raise BadCommand(f'there is no {word}')


def _check_launch(args: list[str], page_configs: dict) -> None:
    script, config, *args = args
    tool = LAUNCHERS[script]
    checkpoint = [args.pop(0)] if tool == 'test.py' else []
    processes, *args = args
    if not processes.isdecimal():
        raise BadCommand(f'the number of GPUs is {processes!r}')
    _check_training(tool, [config, *checkpoint, *args], page_configs)


def _check_options(script: str, *args: str) -> None:
    text = (ROOT / script).read_text()
    for option in args:
        if option.startswith('--') and option not in text:
            raise BadCommand(f'{script} has no option {option}')


def _check_python(args: list[str], page_configs: dict) -> None:
    if args == ['-m', 'vll_mmaction', 'doctor']:
        return
    if args[:2] == ['-m', 'vll_mmaction']:
        _check_training(args[2], args[3:], page_configs)
    elif args[1:]:
        parse_arguments(str(ROOT / args[0]), args[1:])


def _check_pip(args: list[str]) -> None:
    setup = (ROOT / 'setup.py').read_text()
    options = iter(args[1:])
    for word in options:
        if word == '-c':
            next(options)
        elif word in ('-e', '--no-deps'):
            continue
        elif word.startswith('.'):
            for extra in re.findall(r'[\w-]+', word[1:]):
                if f"'{extra}':" not in setup:
                    raise BadCommand(f'there is no extra {extra}')
        else:
            Requirement(word)


def _check_mim(args: list[str], page_configs: dict) -> None:
    command, package, *args = args
    if command == 'run' and package == 'vll_mmaction':
        tool = f'tools/{args[0]}.py'
        _check_paths([tool])
        parse_arguments(str(ROOT / tool), args[1:])
        return
    if package not in ('mmaction', 'vll_mmaction') or command not in (
        'train',
        'test',
    ):
        raise BadCommand(f'mim {command} {package}')
    if '--checkpoint' in args:  # mim's own option; test.py's is by position
        place = args.index('--checkpoint')
        checkpoint = args[place + 1]
        args = [args[0], checkpoint, *args[1:place], *args[place + 2 :]]
    if package == 'vll_mmaction':  # mim finds configs by their names
        found = sorted((ROOT / 'configs').rglob(args[0]))
        if not found:
            raise BadCommand(f'there is no config {args[0]}')
        args[0] = str(found[0].relative_to(ROOT))
    _check_training(f'{command}.py', args, page_configs)


def _stock_tool(name: str) -> str:
    try:
        return find_tool(name)
    except SystemExit as error:
        raise BadCommand(str(error)) from error


def _check_training(tool: str, args: list[str], page_configs: dict) -> None:
    """Arguments of train.py or test.py: do they go with the config?"""
    parsed = parse_arguments(_stock_tool(tool), args)
    if parsed.config == 'CONFIG':  # the reader's
        return
    if parsed.config in page_configs:
        config = page_configs[parsed.config]
    elif (ROOT / parsed.config).is_file():
        config = Config.fromfile(ROOT / parsed.config)
    else:
        raise BadCommand(f'there is no config {parsed.config}')
    for key in parsed.cfg_options or {}:
        _check_key(config, key)
    config = Config(config.to_dict())
    config.merge_from_dict(parsed.cfg_options or {})
    checkpoint = getattr(parsed, 'checkpoint', '')
    epoch = re.fullmatch(r'work_dirs/(\w[\w-]*)/epoch_(\d+)\.pth', checkpoint)
    if epoch:
        name = Path(parsed.config).stem
        if epoch[1] != name:
            raise BadCommand(f'{checkpoint} is not where {name} trains')
        if int(epoch[2]) > config.train_cfg.max_epochs:
            raise BadCommand(
                f'{name} has {config.train_cfg.max_epochs} epochs'
            )


def _check_key(config: Config, key: str) -> None:
    """See that a config has what an option of the command line sets."""
    value = config
    for part in key.split('.'):
        try:
            value = value[int(part) if part.isdecimal() else part]
        except (KeyError, TypeError, IndexError):
            raise BadCommand(
                f'--cfg-options {key}: the config has no {part} there'
            ) from None


class _Parsed(Exception):
    """Carries the arguments out of a script."""


def parse_arguments(script: str, args: list[str]) -> argparse.Namespace:
    """What the parser of a script makes of arguments; nothing else runs."""
    original = argparse.ArgumentParser.parse_args

    def parse_args(self, *given, **kwargs):
        raise _Parsed(original(self, *given, **kwargs))

    parser = argparse.ArgumentParser
    name, path = os.path.relpath(script, ROOT), os.path.dirname(script)
    with (
        mock.patch.object(parser, 'parse_args', parse_args),
        mock.patch.object(sys, 'argv', [script, *args]),
        mock.patch.object(sys, 'path', [path, *sys.path]),
    ):
        try:
            runpy.run_path(script, run_name='__main__')
        except _Parsed as parsed:
            return parsed.args[0]
        except SystemExit as error:
            raise BadCommand(
                f'{name} does not take {args} (exit code {error.code})'
            ) from error
    raise BadCommand(f'{name} parses no arguments')
