"""Every code block of the documentation is run, or checked without running.

- Python: run in the order of the page, with names and folders shared. A
  config is loaded and built; one that has no ``_base_`` goes on with the
  page's config before it, or changes ``page_configs.BASE``.
- Shell: see ``commands.py``.
- Of other languages only text and BibTeX are allowed.

A block of another kind fails: so do new programs in shell blocks. Teach this
folder how to check them.
"""

import contextlib
import doctest
import io
import re
import shutil
import sys

import commands
import mmaction.registry
import page_configs
import pages
import pytest
import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.registry import Registry
from stock_tools import ROOT
from video_files import write_video

from vll_mmaction import voting

PROJECT = 'my_project.py'
SHELL = ('bash', 'shell', 'sh')
# Ways to write a command that would go unseen in a block of text.
HIDDEN_COMMAND = re.compile(r'^(\$ |>>> |pip |python |bash )', re.M)


class BadBlock(Exception):
    """A code block that does not work; says which and why."""


@pytest.fixture(scope='module')
def videos(tmp_path_factory):
    """A small data set as the pages have it: videos in a folder a class."""
    folder = tmp_path_factory.mktemp('pages') / 'my_videos'
    for name in ('jump', 'run'):
        for number, length in enumerate((20, 33, 18, 40, 25)):
            write_video(folder / f'videos/{name}/{number}.avi', length)
    return folder


def check_page(page, folder):
    """See that the code blocks of a page work.

    Args:
        page (pathlib.Path): The page.
        folder (pathlib.Path): Where its Python runs.

    Raises:
        BadBlock: One does not.
    """
    names, configs = {'__name__': '__main__'}, []
    if PROJECT in pages.inline_code(page):
        # The page's Python, save configs, is a file that they import.
        texts = [x.text for x in pages.blocks(page) if is_script(x)]
        (folder / PROJECT).write_text('\n'.join(texts))
    if page.name == 'demo.md':
        names.update(trained_model(folder))
    for block in pages.blocks(page):
        try:
            check_block(block, names, configs, folder)
        except (Exception, SystemExit) as error:
            raise BadBlock(f'{block}: {error!r}') from error
    for _, parts in configs:
        page_configs.build(page_configs.load(parts, folder / 'config.py'))


def trained_model(folder):
    """What the page on the demo takes for granted: a model and a video."""
    write_video(folder / 'video.mp4', 40, fourcc='mp4v')
    config = str(ROOT / 'configs/quickstart/vll_c3d_finetune.py')
    model = MODELS.build(Config.fromfile(config).model)
    checkpoint = str(folder / 'model.pth')
    torch.save(dict(state_dict=model.state_dict()), checkpoint)
    return dict(config=config, checkpoint=checkpoint)


def check_block(block, names, configs, folder):
    """See that a block works.

    Args:
        block (pages.Block): The block.
        names (dict): Names of the page's Python.
        configs (list[tuple]): Names and texts of the page's configs so far.
        folder (pathlib.Path): Where Python runs.
    """
    if block.language == 'python':
        if is_script(block):
            if PROJECT not in pages.inline_code(block.page):
                run_python(block.text, names)
            return
        name = re.match(r'# (\w+\.py)\n', block.text)
        if name or '_base_ =' in block.text or not configs:
            known = [name[1]] if name else named_configs(block.page)
            configs.append((known, [block.text]))
        else:
            page_configs.extend(configs[-1][1], block.text)
    elif block.language in SHELL:
        scratch = folder / 'shell'
        scratch.mkdir(exist_ok=True)
        known = {}
        for named, parts in configs:
            config = page_configs.load(parts, folder / 'config.py')
            known.update(dict.fromkeys(named, config))
        for words in commands.commands(block.text, scratch):
            try:
                commands.check(words, known)
            except commands.BadCommand as error:
                raise BadBlock(f'{" ".join(words)}: {error}') from error
    elif block.language == 'text':
        if HIDDEN_COMMAND.search(block.text):
            raise BadBlock('it holds commands: name its language')
    elif block.language == 'bibtex':
        assert block.text.count('{') == block.text.count('}')
    else:
        raise BadBlock(f'nothing is known here about {block.language!r}')


def is_script(block):
    """Whether a block is Python, but no config."""
    python = block.language == 'python'
    return python and not page_configs.is_config(block.text)


def named_configs(page):
    """Configs that a page names and this repository does not have."""
    return [
        name
        for name in pages.inline_code(page)
        if re.fullmatch(r'\w+\.py', name)
    ]


def run_python(text, names):
    """Run a block, as a doctest if it looks like a session."""
    if not torch.cuda.is_available():
        text = text.replace("'cuda:0'", "'cpu'")
    if '>>> ' in text:
        test = doctest.DocTestParser().get_doctest(text, names, 'doc', '', 0)
        said = io.StringIO()
        runner = doctest.DocTestRunner()
        runner.run(test, out=said.write, clear_globs=False)
        if runner.failures:
            raise BadBlock(said.getvalue())
        names.update(test.globs)
        return
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(text, 'block', 'exec'), names)


@pytest.fixture
def folder(tmp_path, videos, monkeypatch):
    """Where Python runs: the repository's folders, and a small data set."""
    for name in ('configs', 'tools', 'docs'):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / 'data').mkdir()
    shutil.copytree(videos, tmp_path / 'data/my_videos')
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(voting.VOTE_RULES, 'weighted', None)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)
    # What the pages register stays among themselves.
    project = PROJECT.split('.')[0]
    sys.modules.pop(project, None)
    for registry in vars(mmaction.registry).values():
        if isinstance(registry, Registry):
            for name, kind in list(registry.module_dict.items()):
                if kind.__module__ in ('__main__', project):
                    del registry.module_dict[name]


@pytest.mark.parametrize(
    'page', pages.PAGES, ids=lambda page: str(page.relative_to(ROOT))
)
def test_code_blocks(page, folder):
    check_page(page, folder)


def shell(*lines):
    return '```bash\n' + '\n'.join(lines) + '\n```'


TRAIN = 'bash tools/dist_train.sh configs/'
TEST = 'bash tools/dist_test.sh configs/vll_c3d_ucf101.py work_dirs/'
BAD = {
    'about .*ruby': '```ruby\n1\n```',
    'about .*(\'\'|"")': 'Text.\n\n    indented\n',
    'it holds commands': '```text\npython x.py\n```',
    'the program nvidia-smi': shell('nvidia-smi'),
    'there is no tools/no.py': shell(
        'for i in 1; do', 'pytest tools/no.py;done'
    ),
    'there is no configs/no.py': shell(TRAIN + 'no.py 2'),
    'does not take .*epochs': shell(TRAIN + 'vll_c3d_ucf101.py 2 --epochs 3'),
    'number of GPUs': shell(TRAIN + 'vll_c3d_ucf101.py two'),
    'has no max_epoch there': shell(
        TRAIN + 'vll_c3d_ucf101.py 2 \\',
        '    --cfg-options train_cfg.max_epoch=3',
    ),
    'has 20 epochs': shell(TEST + 'vll_c3d_ucf101/epoch_21.pth 2'),
    'is not where': shell(TEST + 'vll_c3d_hmdb51/epoch_1.pth 2'),
    'does not take .*seed': shell('python tools/experiments.py list --seed 0'),
    'no option --tiny': shell('bash tools/quickstart.sh --tiny'),
    'no extra heavy': shell("pip install '.[heavy]'"),
    'There is no tool x.py': shell('python -m vll_mmaction x.py'),
    'unbound variable': shell('echo $unset'),
    'NameError': '```python\nprint(unset)\n```',
    'Expected': '```python\n>>> 1 + 1\n3\n```',
    'VideoLevelLos': (
        '```python\nmodel = dict(cls_head=dict(loss_cls=dict(\n'
        '    _delete_=True, type="VideoLevelLos")))\n```\n'
    ),
}


@pytest.mark.parametrize('message', BAD)
def test_bad_blocks_are_found(message, folder):
    page = folder / 'bad.md'
    page.write_text(BAD[message])
    with pytest.raises((BadBlock, KeyError), match=message):
        check_page(page, folder)
