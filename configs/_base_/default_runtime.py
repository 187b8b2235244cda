# MMAction2's runtime, the plugin, and hooks that make a run resume exactly.
_base_ = 'mmaction::_base_/default_runtime.py'

custom_imports = dict(imports=['vll_mmaction'], allow_failed_imports=False)

# The batch has another shape in every step: cuDNN would search its fastest
# algorithm again and again. (tools/dist_train.sh tells PyTorch's allocator.)
env_cfg = dict(cudnn_benchmark=False)

default_hooks = dict(
    checkpoint=dict(
        type='AtomicCheckpointHook', max_keep_ckpts=3, save_best='acc/top1'
    )
)
custom_hooks = [
    dict(type='ConfigCheckHook'),
    dict(type='IterSeedHook'),
    dict(type='ExactResumeHook'),
]

# Accuracy of one batch jumps: log its mean over the last batches, as stock
# does for the loss.
log_processor = dict(mean_pattern=r'.*(loss|time|grad_norm|top\d_acc).*')
