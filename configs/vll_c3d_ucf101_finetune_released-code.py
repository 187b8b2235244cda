# What the released code computes, for one GPU, as far as a config can say it.
# First train clip_c3d_ucf101_released-code.py.
#
# Not expressed here:
# - The code pads a video of m < 20 clips with zero rows up to 20, and they
#   take part in its sum over pairs: (20 - m) * sum of mean(p^2) comes on top.
# - A tie of votes goes to the lowest class there, to the one with the higher
#   mean probability here.
# - The order of the videos and TensorFlow's SGD in detail.
_base_ = 'clip_c3d_ucf101_released-code.py'

model = dict(
    backbone=dict(
        pretrained_convs='work_dirs/clip_c3d_ucf101_released-code/epoch_20.pth'
    ),
    cls_head=dict(
        loss_cls=dict(
            _delete_=True,
            type='VideoLevelLoss',
            alpha=0.25,
            # Mean squared differences of softmax vectors, summed over pairs.
            # Its test for right clips never succeeds, so that Eq. 6 always
            # takes the pairwise branch.
            ccl=dict(
                type='ConsistentConstraintLoss',
                mode='euc',
                distance='mse',
                reduction='sum',
            ),
        )
    ),
)
train_dataloader = dict(
    batch_size=1,  # a video a step
    sampler=dict(type='VideoGroupedSampler'),
    batch_sampler=dict(type='VideoGroupedBatchSampler'),
)
optim_wrapper = dict(
    # L2 on the weights of fc6, fc7 and fc8 only.
    optimizer=dict(lr=0.001, momentum=0, weight_decay=5e-4),
    paramwise_cfg=dict(
        bias_decay_mult=0,
        custom_keys={
            f'backbone.conv{number}': dict(decay_mult=0)
            for number in range(1, 6)
        },
    ),
    clip_grad=None,
    accumulative_counts=1,
)
param_scheduler = [
    dict(type='StepLR', step_size=20000, gamma=0.1, by_epoch=False)
]
train_cfg = dict(max_epochs=20, val_interval=5)
auto_scale_lr = dict(base_batch_size=1)
