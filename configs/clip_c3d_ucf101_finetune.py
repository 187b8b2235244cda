# Clip-level training that starts from the conv layers of a clip-level model,
# with new FC layers: what video-level fine-tuning is compared with.
_base_ = 'clip_c3d_ucf101.py'

model = dict(
    backbone=dict(pretrained_convs='work_dirs/clip_c3d_ucf101/epoch_20.pth')
)

# The text says "learning rate 0.001, decreased by 0.1 every 2000 iterations";
# the released code decreases it every 20,000 steps of one video, without
# momentum. 2 epochs are 19,074 videos; 0.001 a video is 0.0016 a step of 16
# videos with momentum 0.9.
optim_wrapper = dict(optimizer=dict(lr=0.0016))
param_scheduler = [
    dict(type='MultiStepLR', milestones=[2, 4, 6], gamma=0.1, by_epoch=True)
]
train_cfg = dict(max_epochs=8, val_interval=2)
