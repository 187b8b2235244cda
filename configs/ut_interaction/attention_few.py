# Attention, on at most 3 random clips of 36 videos a step: as many clips a
# step, and as many steps, as with all clips of 16.
_base_ = 'attention.py'

train_dataloader = dict(
    batch_size=36,
    dataset=dict(
        pipeline=[
            dict(
                type='SampleVideoClips',
                clip_len=8,
                frame_interval=2,
                max_clips=3,
                keep='random',
            )
        ]
    ),
)
epochs = 23
train_cfg = dict(max_epochs=epochs, val_begin=epochs, val_interval=epochs)
default_hooks = dict(checkpoint=dict(interval=epochs))
