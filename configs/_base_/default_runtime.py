# MMAction2's runtime, the plugin, and hooks that make a run resume exactly,
# log what video-level learning is about, and warn when it goes wrong.
_base_ = 'mmaction::_base_/default_runtime.py'

custom_imports = dict(imports=['vll_mmaction'], allow_failed_imports=False)

# The batch has another shape in every step: cuDNN would search its fastest
# algorithm again and again. (tools/dist_train.sh tells PyTorch's allocator.)
# A process that waits for another one for so many seconds gives up, and the
# job ends: docs/robustness.md. More than the dataset's max_read_seconds, so
# that a video that hangs is named.
env_cfg = dict(cudnn_benchmark=False, dist_cfg=dict(timeout=900))

default_hooks = dict(
    checkpoint=dict(
        type='AtomicCheckpointHook', max_keep_ckpts=3, save_best='acc/top1'
    ),
    checkpoint_fit=dict(type='CheckpointFitHook'),
)
custom_hooks = [
    dict(type='ConfigCheckHook'),
    dict(type='IterSeedHook'),
    dict(type='ExactResumeHook'),
    dict(type='TrainingSpeedHook'),
    dict(type='CollapseWarningHook'),
    dict(type='FiniteScoresHook'),
]

# Accuracy of one batch jumps: log its mean over the last batches, as stock
# does for the loss. Not clip/agreement, which is of a whole validation.
log_processor = dict(
    mean_pattern=r'loss|time|grad_norm|top\d_acc|wrong_clips|^agreement'
)
