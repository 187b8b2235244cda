import pytest
import torch
from emulated_cuda import HostWait
from mmaction.registry import HOOKS
from mmaction.structures import ActionDataSample
from mmengine.optim import OptimWrapper
from small_runner import log_of, small_runner
from video_files import write_dataset

from vll_mmaction.engine.hooks import collapse_warning_hook

SEEN = 'Training may have collapsed'

# 240 steps of one clip.
SETTINGS = """
model['backbone'].update(dropout_ratio=0)
train_dataloader['batch_size'] = 1
optim_wrapper['optimizer'] = dict(
    _delete_=True, type='SGD', lr={lr}, momentum=0.9)
train_cfg = dict(max_epochs=30, val_interval=100)
default_hooks = dict(
    logger=dict(interval=8), checkpoint=dict(interval=100, save_best=None))
param_scheduler = []
randomness = dict(seed=0)
"""


def settings(lr):
    return SETTINGS.format(lr=lr)


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    """Eight videos of one clip and two classes."""
    folder = tmp_path_factory.mktemp('data')
    write_dataset(folder, [4] * 8)
    return folder


def test_a_network_that_answers_all_alike_is_told(data_root, tmp_path):
    runner = small_runner(tmp_path, data_root, settings(lr=1e-6))
    runner.train()
    log = log_of(runner)
    assert log.count(SEEN) == 1
    for remedy in (
        'pretrained_convs',
        'accumulative_counts',
        'lower learning rate',
        'smaller alpha',
    ):
        assert remedy in log


def test_training_that_learns_is_not(data_root, tmp_path):
    runner = small_runner(tmp_path, data_root, settings(lr=0.005))
    runner.train()
    accuracy = runner.message_hub.get_scalar('val/acc/top1').current()
    assert accuracy > 0.7
    assert SEEN not in log_of(runner)


class Batches:
    """What the hook asks of a runner, and the warnings it gets."""

    def __init__(self, scores, labels, accumulate=1):
        self.batches = list(zip(scores, labels))
        self.train_dataloader = self.batches
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.optim_wrapper = OptimWrapper(
            torch.optim.SGD([self.weight], lr=0.1),
            accumulative_counts=accumulate,
        )
        self.model = torch.nn.Module()
        self.model.cls_head = torch.nn.Module()
        self.logger, self.warnings = self, []

    def warning(self, message):
        self.warnings.append(message)

    def run(self, epochs=1):
        hook = HOOKS.build(dict(type='CollapseWarningHook'))
        hook.before_train(self)
        for _ in range(epochs):
            for number, (scores, labels) in enumerate(self.batches):
                self.model.cls_head.training_scores = scores
                samples = [ActionDataSample().set_gt_label(x) for x in labels]
                self.optim_wrapper.update_params(self.weight * 1)
                hook.after_train_iter(self, number, dict(data_samples=samples))
        return self.warnings


def test_an_answer_that_follows_the_labels_is_a_collapse():
    """It moves from class to class, and is one for a while."""
    answers = torch.arange(300) // 30 % 8
    scores = torch.eye(8)[answers][:, None].repeat(1, 3, 1)
    labels = torch.randint(8, (300, 1)).repeat(1, 3).tolist()
    (message,) = Batches(scores, labels).run(epochs=2)
    assert 'the last 299 iterations' in message and 'in 97%' in message
    # Labels that come in this order are learnt, not collapsed.
    sorted_labels = answers[:, None].repeat(1, 3).tolist()
    assert Batches(scores, sorted_labels).run() == []


@pytest.mark.parametrize(
    'change',
    [
        lambda scores, labels: scores.fill_(float('nan')),
        lambda scores, labels: labels.fill_(3),  # data of one class
        lambda scores, labels: scores.copy_(torch.randn_like(scores)),
    ],
)
def test_no_collapse(change):
    scores = torch.eye(8)[:1].repeat(300, 4, 1)
    labels = torch.randint(8, (300, 4))
    assert len(Batches(scores, labels.tolist()).run()) == 1
    change(scores, labels)
    assert Batches(scores, labels.tolist()).run() == []


@pytest.mark.parametrize('accumulate', [1, 2])
def test_before_enough_steps_nothing_is_said(accumulate):
    # So every training starts.
    scores = torch.eye(8)[:1].repeat(500, 4, 1)
    labels = torch.randint(8, (500, 4)).tolist()
    few, enough = 199 * accumulate, 201 * accumulate
    for number, told in ((few, 0), (enough, 1)):
        batches = Batches(scores[:number], labels[:number], accumulate)
        assert len(batches.run()) == told


def test_all_processes_are_asked(monkeypatch):
    def with_another_process(same, op):
        assert op == 'mean'
        same.add_(torch.tensor([0.2, 0.1])).div_(2)

    scores = torch.eye(8)[:1].repeat(300, 4, 1)
    labels = torch.randint(8, (300, 4)).tolist()
    assert len(Batches(scores, labels).run()) == 1
    monkeypatch.setattr(
        collapse_warning_hook, 'all_reduce', with_another_process
    )
    assert Batches(scores, labels).run() == []


def test_soft_labels_and_stock_heads():
    scores = torch.eye(8)[:1].repeat(300, 4, 1)
    labels = torch.randn(300, 4, 8).softmax(dim=2)
    assert len(Batches(scores, labels).run()) == 1
    assert Batches([None] * 300, labels).run() == []


def test_counts_stay_on_the_device(cuda):
    scores = [cuda.upload(torch.randn(3, 4)) for _ in range(5)]
    # Too few steps for a look at the counts, which would wait.
    assert Batches(scores, [[1, 1, 2]] * 5).run(epochs=2) == []
    with pytest.raises(HostWait):
        Batches(scores * 50, [[1, 1, 2]] * 250).run()
