"""Settings that all tests share."""

from pathlib import Path

import hypothesis
import pytest
import torch
from mmengine.registry import init_default_scope

import vll_mmaction  # noqa: F401  (before the first import of mmaction.models)

# As `default_scope = 'mmaction'` in a config: names are MMAction2's.
init_default_scope('mmaction')

# Shared machines are slow at times; a deadline would fail at random. The same
# examples in every run, kept nowhere.
hypothesis.settings.register_profile(
    'tests', deadline=None, derandomize=True, database=None
)
hypothesis.settings.load_profile('tests')


# Files that take a minute and more. A process runs a file as a whole: were
# they last, the others would wait for them.
SLOWEST = [
    Path(__file__).parent / name
    for name in (
        'test_docs/test_code_blocks.py',
        'test_main_job/test_train_and_test.py',
        'test_engine/test_exact_resume_hook.py',
        'test_tools/test_stress.py',
        'test_tools/test_quickstart.py',
    )
]


def pytest_collection_modifyitems(items):
    """Begin with the slowest files."""
    items.sort(key=lambda item: item.path not in SLOWEST)


@pytest.fixture(autouse=True)
def seed():
    """Start every test from the same random state."""
    torch.manual_seed(0)


@pytest.fixture
def one_thread():
    """Small models are faster on one thread, and sums are repeatable."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def cuda(monkeypatch):
    """A stand-in for a GPU, see ``emulated_cuda.py``."""
    from emulated_cuda import EmulatedCuda

    with EmulatedCuda(monkeypatch) as device:
        yield device
