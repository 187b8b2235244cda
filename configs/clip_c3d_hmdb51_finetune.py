# Table 3, clip-level: starts from the conv layers of a clip-level model,
# with new FC layers. What video-level fine-tuning is compared with.
_base_ = 'clip_c3d_hmdb51.py'

model = dict(
    backbone=dict(pretrained_convs='work_dirs/clip_c3d_hmdb51/epoch_20.pth')
)

# As many videos seen as on UCF101 (see clip_c3d_ucf101_finetune.py): 20,000
# are 5.6 of HMDB51's epochs.
optim_wrapper = dict(optimizer=dict(lr=0.0016))
param_scheduler = [
    dict(type='MultiStepLR', milestones=[6, 11, 17], gamma=0.1, by_epoch=True)
]
train_cfg = dict(max_epochs=22, val_interval=11)
