import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from stock_tools import free_port
from toy_run import toy_config

ROOT = Path(__file__).parents[2]
TESTS = ROOT / 'tests'
TRAIN = str(ROOT / 'tools/train.py')


def run(script, *arguments, **environment):
    """Run a script of tools/ and return its exit status and output."""
    ours = 'NNODES NODE_RANK MASTER_ADDR PORT RESTARTS RESTARTS_STORE PYTHON '
    ours += 'OMP_NUM_THREADS MKL_NUM_THREADS PYTORCH_CUDA_ALLOC_CONF'
    clean = {k: v for k, v in os.environ.items() if k not in ours.split()}
    script = Path(environment.pop('tools', ROOT / 'tools')) / script
    process = subprocess.run(
        ['bash', script, *map(str, arguments)],
        env={**clean, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return process.returncode, process.stdout


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'my configs' / 'toy.py'
    path.parent.mkdir()
    path.touch()
    return path


@pytest.fixture
def fake_python(tmp_path):
    """A python that says which command it was asked to run."""

    def make(gpus):
        path = tmp_path / 'my python' / 'python'
        path.parent.mkdir()
        path.write_text(f"""#!/bin/bash
if [[ $1 == */mmaction_tool.py ]]; then
    printf '%s\\n' {gpus} 8
else
    echo "CUDA_VISIBLE_DEVICES=${{CUDA_VISIBLE_DEVICES:-unset}}"
    echo "PYTORCH_CUDA_ALLOC_CONF=$PYTORCH_CUDA_ALLOC_CONF"
    echo "OMP_NUM_THREADS=${{OMP_NUM_THREADS:-unset}}"
    printf 'argument: %s\\n' "$@"
fi
""")
        path.chmod(0o755)
        return str(path)

    return make


def command_of(output):
    """The command that the fake python was given."""
    lines = output.splitlines()
    start = 'argument: '
    return [line[len(start) :] for line in lines if line.startswith(start)]


def rank_command(python, tool):
    """What the launcher is to start: a rank that dies with it (Linux)."""
    if shutil.which('setpriv') is None:
        return [tool]
    words = ['--no-python', 'setpriv', '--pdeathsig', 'KILL']
    return [*words, python, '-u', tool]


@pytest.mark.parametrize(
    'script, arguments, reason',
    [
        ('dist_train.sh', [], 'CONFIG is missing.'),
        ('dist_train.sh', ['CONFIG'], 'GPUS is missing.'),
        ('dist_train.sh', ['CONFIG', '--resume'], 'GPUS is missing.'),
        ('dist_train.sh', ['CONFIG', 'two'], 'GPUS is no number: two'),
        ('dist_train.sh', ['CONFIG', '-1'], 'GPUS is no number: -1'),
        ('dist_train.sh', ['lost.py', '2'], 'There is no config lost.py'),
        ('dist_test.sh', ['CONFIG'], 'CHECKPOINT is missing.'),
        ('dist_test.sh', ['CONFIG', '2'], 'GPUS is missing.'),
        ('dist_test.sh', ['CONFIG', 'a.pth', ''], 'GPUS is missing.'),
        ('dist_test.sh', ['CONFIG', '2', 'a.pth'], 'GPUS is no number: a.pth'),
    ],
)
def test_bad_arguments_get_usage_and_reason(config, script, arguments, reason):
    arguments = [config if a == 'CONFIG' else a for a in arguments]
    status, output = run(script, *arguments)
    assert status == 2
    assert output.startswith(f'Usage: {script} CONFIG')
    assert output.splitlines()[-1] == reason


def test_train_on_gpus(config, fake_python):
    status, output = run(
        *('dist_train.sh', config, 2),
        *('--work-dir', 'my runs', '--resume'),
        PYTHON=(python := fake_python(gpus=4)),
    )
    assert status == 0
    assert command_of(output) == [
        *('-m', 'torch.distributed.run', '--nnodes=1', '--node_rank=0'),
        *('--master_addr=127.0.0.1', '--master_port=29500'),
        '--nproc_per_node=2',
        *rank_command(python, TRAIN),
        *('--launcher', 'pytorch', str(config)),
        *('--work-dir', 'my runs', '--resume'),
    ]
    assert 'PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True' in output
    assert 'OMP_NUM_THREADS=unset' in output


def test_test_on_gpus_of_two_machines(config, fake_python):
    status, output = run(
        *('dist_test.sh', config, 'my runs/best.pth', 1),
        PYTHON=(python := fake_python(gpus=1)),
        NNODES='2',
        NODE_RANK='1',
        MASTER_ADDR='10.0.0.5',
        PORT='29999',
    )
    assert status == 0
    assert command_of(output) == [
        *('-m', 'torch.distributed.run', '--nnodes=2', '--node_rank=1'),
        *('--master_addr=10.0.0.5', '--master_port=29999'),
        '--nproc_per_node=1',
        *rank_command(python, str(ROOT / 'tools/test.py')),
        *('--launcher', 'pytorch', str(config), 'my runs/best.pth'),
    ]


def test_restarts(config, fake_python):
    """Machines meet anew by the c10d rendezvous; testing doesn't."""
    environment = dict(
        PYTHON=(python := fake_python(gpus=2)),
        NNODES='2',
        NODE_RANK='1',
        MASTER_ADDR='10.0.0.5',
        PORT='29999',
        RESTARTS='3',
    )
    status, output = run('dist_train.sh', config, 2, **environment)
    assert status == 0
    assert command_of(output) == [
        *('-m', 'torch.distributed.run', '--nnodes=2', '--max_restarts=3'),
        *('--rdzv_backend=c10d', '--rdzv_endpoint=10.0.0.5:29999'),
        *('--rdzv_conf=is_host=0', '--nproc_per_node=2'),
        *rank_command(python, TRAIN),
        *('--launcher', 'pytorch', str(config)),
    ]
    _, output = run('dist_test.sh', config, 'a.pth', 2, **environment)
    assert '--node_rank=1' in command_of(output)
    status, output = run('dist_train.sh', config, 2, RESTARTS='always')
    assert status == 2
    assert output.splitlines()[-1] == 'RESTARTS is no number: always'


def test_without_cuda_processes_talk_by_gloo(config, fake_python):
    status, output = run(
        *('dist_train.sh', config, 3),
        *('--cfg-options', 'env_cfg.dist_cfg.backend=mpi'),
        PYTHON=(python := fake_python(gpus=0)),
    )
    assert status == 0
    assert command_of(output)[7:] == [
        *rank_command(python, TRAIN),
        *('--cfg-options', 'env_cfg.dist_cfg.backend=gloo'),
        *('--launcher', 'pytorch', str(config)),
        *('--cfg-options', 'env_cfg.dist_cfg.backend=mpi'),
    ]
    assert 'OMP_NUM_THREADS=2' in output
    given = dict(PYTHON=python, OMP_NUM_THREADS='7')
    _, output = run('dist_train.sh', config, 3, **given)
    assert 'OMP_NUM_THREADS=7' in output


def test_no_gpu_is_a_plain_process(config, fake_python):
    status, output = run(
        'dist_train.sh', config, 0, '--amp', PYTHON=fake_python(gpus=4)
    )
    assert status == 0
    assert command_of(output) == [TRAIN, str(config), '--amp']
    assert 'CUDA_VISIBLE_DEVICES=-1' in output


def test_more_gpus_than_there_are(config, fake_python):
    status, output = run(
        'dist_train.sh', config, 4, PYTHON=fake_python(gpus=2)
    )
    assert status == 2
    assert '4 GPUs were asked for, but PyTorch sees 2' in output
    assert not command_of(output)


def test_environment_of_the_checkout_is_used(config, fake_python, tmp_path):
    """In a checkout with a space in its path, and none active."""
    tools = shutil.copytree(ROOT / 'tools', tmp_path / 'my checkout/tools')
    python = tools.parent / '.venv/bin/python'
    python.parent.mkdir(parents=True)
    shutil.copy(fake_python(gpus=1), python)
    for inactive in dict(), dict(CONDA_DEFAULT_ENV='base'):
        status, output = run(
            *('dist_train.sh', config, 1),
            tools=tools,
            VIRTUAL_ENV='',
            **inactive,
        )
        assert status == 0
        assert f'argument: {tools}/train.py' in output


def test_what_the_launcher_asks_for():
    script = ROOT / 'tools/lib/mmaction_tool.py'
    output = subprocess.run(
        [sys.executable, script, 'test.py'],
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    gpus, threads = output.splitlines()
    assert int(gpus) == torch.cuda.device_count() and int(threads) >= 1


def test_a_process_that_fails_says_why_at_the_end(config):
    config.write_text("model = dict(type='NoSuchModel')\nraise OSError('why')")
    status, output = run(
        *('dist_train.sh', config, 2),
        PYTHON=sys.executable,
        PYTHONPATH=str(ROOT),
        PORT=str(free_port()),
    )
    assert status != 0
    assert output.split('Root Cause')[1].split()[-3:-1] == ['OSError:', 'why']


@pytest.mark.skipif(torch.cuda.is_available(), reason='for CPU machines')
def test_train_on_two_cpu_processes_then_test(config, tmp_path):
    work_dir = tmp_path / 'my runs'
    Config(toy_config(work_dir, max_epochs=2)).dump(str(config))
    environment = dict(
        PYTHON=sys.executable,
        PYTHONPATH=f'{ROOT}{os.pathsep}{TESTS}',
        PORT=str(free_port()),
    )
    status, output = run('dist_train.sh', config, 2, **environment)
    assert status == 0, output
    last = work_dir / 'epoch_2.pth'
    assert torch.load(last)['meta']['iter'] == 4  # 8 samples, 2 a process

    status, output = run('dist_test.sh', config, last, 0, **environment)
    assert status == 0, output
