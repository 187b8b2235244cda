"""Every code block of the documentation is run, or checked without running.

- Python: run in the order of the page, with names and folders shared. A
  config is loaded and built; one that has no ``_base_`` goes on with the
  page's config before it, or changes ``page_configs.BASE``.
- Shell: run, too, but for the commands that ``commands.py`` names.
- Of other languages only text and BibTeX are allowed.

All pages share one sandbox, see ``sandbox.py``.
"""

import contextlib
import doctest
import io
import re
import tempfile
from pathlib import Path

import commands
import page_configs
import pages
import pytest
import sandbox
import torch
from sandbox import PROJECT
from stock_tools import ROOT

SHELL = ('bash', 'shell', 'sh')
# Ways to write a command that would go unseen in a block of text.
HIDDEN_COMMAND = re.compile(r'^(\$ |>>> |pip |python |bash )', re.M)


class BadBlock(Exception):
    """A code block that does not work; says which and why."""


def check_page(page, folder):
    """See that the code blocks of a page work in the sandbox."""
    names, configs = dict(sandbox.NAMES, __name__='__main__'), []
    if PROJECT in pages.inline_code(page):
        # The page's Python, save configs, is a file that they import.
        texts = [x.text for x in pages.blocks(page) if is_script(x)]
        (folder / PROJECT).write_text('\n'.join(texts))
    for block in pages.blocks(page):
        try:
            check_block(block, names, configs, folder)
        except (Exception, SystemExit) as error:
            raise BadBlock(f'{block}: {error!r}') from error
    for _, parts in configs:
        page_configs.build(page_configs.load(parts, folder / 'config.py'))


def check_block(block, names, configs, folder):
    """See that a block works.

    ``names`` are those of the page's Python, ``configs`` names and texts of
    its configs so far.
    """
    if block.language == 'python':
        if is_script(block):
            if PROJECT not in pages.inline_code(block.page):
                run_python(block.text, names)
            return
        name = re.match(r'# (\w+\.py)\n', block.text)
        if name:
            (folder / name[1]).write_text(block.text)
        if name or '_base_ =' in block.text or not configs:
            known = [name[1]] if name else named_configs(block.page)
            configs.append((known, [block.text]))
        else:
            page_configs.extend(configs[-1][1], block.text)
    elif block.language in SHELL:
        known = {}
        for named, parts in configs:
            config = page_configs.load(parts, folder / 'config.py')
            known.update(dict.fromkeys(named, config))
        with tempfile.TemporaryDirectory() as scratch:
            found = commands.commands(block.text, Path(scratch))
        for words in found:
            try:
                commands.check(words, known)
            except commands.BadCommand as error:
                raise BadBlock(f'{" ".join(words)}: {error}') from error
        if any(map(commands.is_run_here, found)):
            sandbox.run(block.text, folder, commands.NOT_RUN_HERE)
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


@pytest.fixture(scope='module')
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp('sandbox')
    sandbox.make(folder)
    return folder


@pytest.fixture
def folder(shared, monkeypatch):
    """The sandbox, as the current folder."""
    with sandbox.entered(shared, monkeypatch):
        yield shared


@pytest.mark.parametrize(
    'page', pages.PAGES, ids=lambda page: str(page.relative_to(ROOT))
)
def test_code_blocks(page, folder):
    check_page(page, folder)


def shell(*lines):
    return '```bash\n' + '\n'.join(lines) + '\n```'


TRAIN = 'bash tools/dist_train.sh configs/vll_c3d_ucf101.py '
MIM_TEST = 'mim test vll_mmaction vll_c3d_ucf101.py --checkpoint work_dirs/'
BAD = {
    'about .*ruby': '```ruby\n1\n```',
    'about .*(\'\'|"")': 'Text.\n\n    indented\n',
    'it holds commands': '```text\npython x.py\n```',
    # Run.
    'unbound variable': shell('echo $unset'),
    'nvidia-smo: not found': shell('nvidia-smo'),
    "can't open file .*no.py": shell(
        'for i in 1; do', 'python tools/no.py;done', 'true'
    ),
    'There is no tool x.py': shell('python -m vll_mmaction x.py'),
    # Looked at.
    'does not take .*epochs': shell(TRAIN + '2 --epochs 3'),
    'number of GPUs': shell(TRAIN + 'two'),
    'has no max_epoch there': shell(
        TRAIN + '2 \\', '    --cfg-options train_cfg.max_epoch=3'
    ),
    'there is no tools/benchmarks/no.py': shell(
        'python tools/benchmarks/no.py'
    ),
    'has 20 epochs': shell(MIM_TEST + 'vll_c3d_ucf101/epoch_21.pth'),
    'is not where': shell(MIM_TEST + 'vll_c3d_hmdb51/epoch_1.pth'),
    'there is no config no.py': shell('mim train vll_mmaction no.py'),
    'does not take .*gpu-ids': shell(
        'python tools/experiments.py run table1 --gpu-ids 0'
    ),
    'no option --tiny': shell('bash tools/quickstart.sh --tiny'),
    'no extra heavy': shell("pip install '.[heavy]'"),
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


def test_commands_that_are_not_run_are_still_in_the_pages(tmp_path):
    found = [
        ' '.join(words)
        for page in pages.PAGES
        for block in pages.blocks(page)
        if block.language in SHELL
        for words in commands.commands(block.text, tmp_path)
    ]
    for beginning in commands.NOT_RUN_HERE:
        assert any(x.startswith(beginning) for x in found), beginning
    for test in commands.RUN_ELSEWHERE:
        assert (ROOT / 'tests' / test).is_file(), test
