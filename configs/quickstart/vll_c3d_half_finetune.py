# The paper's loss with gradient through half of each video's clips.
_base_ = 'vll_c3d_finetune.py'

model = dict(train_cfg=dict(_delete_=True, backward_share=0.5))
