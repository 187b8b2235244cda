"""Mistakes of users: what they are told, before the first step.

Each case edits a config that works and runs it as train.py does, or, where it
edits the test, as test.py does. Its message is a row of
docs/config_mistakes.md, where ``...`` stands for anything.
"""

import copy
import functools
import itertools
import re
from dataclasses import dataclass

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import EpochBasedTrainLoop, Runner, runner
from stock_tools import ROOT, small_config
from video_files import write_dataset

_numbers = itertools.count()

HEAD = 'model.cls_head.'
LOSS = 'model.cls_head.loss_cls.'
TRAIN = 'train_dataloader.'
DATASET = 'train_dataloader.dataset.'
PIPELINE = 'train_dataloader.dataset.pipeline.'
SAMPLE, CROP, FORMAT, PACK = (f'{PIPELINE}{step}' for step in (1, 3, 4, 5))
VAL, TEST = 'val_dataloader.dataset.', 'test_dataloader.dataset.'
VAL_SAMPLE, VAL_FORMAT, VAL_PACK = (
    f'{VAL}pipeline.{step}' for step in (1, 4, 5)
)
STOCK_VAL = {
    'val_dataloader.dataset': lambda config: {
        **{
            key: value
            for key, value in config.val_dataloader.dataset.items()
            if key != 'stream_above'
        },
        'type': 'VideoDataset',
    }
}
NOTHING = dict(type='Flip', flip_ratio=0)
ONE_CLIP = dict(type='SampleFrames', clip_len=4, num_clips=1)
CLIP_SAMPLER = {
    f'{TRAIN}sampler': dict(type='DefaultSampler', shuffle=True),
    f'{TRAIN}batch_sampler': dict(type='ClipBatchSampler'),
}
CLIP_LOSS = {f'{HEAD}loss_cls': dict(type='CrossEntropyLoss')}
STOCK_HEAD = {f'{HEAD}type': 'I3DHead', f'{HEAD}average_clips': 'prob'}
CHUNKS = {
    'model.type': 'VideoLevelRecognizer3D',
    'model.train_cfg': dict(max_training_views=2),
}
MIXUP = {
    'model.data_preprocessor.blending': dict(
        type='MixupBlending', num_classes=2
    )
}


class Started(Exception):
    """The first iteration would have run."""


@dataclass
class Case:
    """A mistake.

    Args:
        id: Name of the case.
        edit: Keys of the config and their new values, or functions that make
            them of the config.
        message: As in the documentation.
        names: Key, value and what is allowed, all to be in the message.
        error: Its type.
    """

    id: str
    edit: dict
    message: str
    names: list
    error: type = ValueError


# fmt: off
CASES = [
    # --- model and loss
    Case(
        'unknown_type',
        {f'{LOSS}type': 'VideoLevelLos'},
        "type='...' is not in the registry of ..., in dict(...",
        ["type='VideoLevelLos'", 'similar: VideoLevelLoss'],
        KeyError,
    ),
    Case(
        'unknown_sampler',
        {f'{TRAIN}sampler.type': 'VideoGroupSampler'},
        "type='...' is not in the registry of ..., in dict(...",
        ["type='VideoGroupSampler'", 'DefaultSampler', 'VideoGroupedSampler'],
        KeyError,
    ),
    Case(
        'argument_of_another_version',
        {f'{LOSS}weight': 0.3},
        '... has no argument ... in vll_mmaction ...',
        ['VideoLevelLoss', 'weight=0.3', 'It takes alpha, ccl'],
        TypeError,
    ),
    Case(
        'argument_of_a_head',
        {f'{HEAD}dropout': 0.5},
        '... has no argument ... in vll_mmaction ...',
        ['dropout=0.5', 'average_clips', 'Did you mean dropout_ratio?'],
        TypeError,
    ),
    Case(
        'alpha_too_large',
        {f'{LOSS}alpha': 1.5},
        'alpha must be in [0, 1], but got ...',
        ['alpha', '1.5', '[0, 1]'],
    ),
    Case(
        'alpha_negative',
        {f'{LOSS}alpha': -0.1},
        'alpha must be in [0, 1], but got ...',
        ['alpha', '-0.1', '[0, 1]'],
    ),
    Case(
        'alpha_is_text',
        {f'{LOSS}alpha': '0.3'},
        'alpha must be a number, but got ...',
        ['alpha', "'0.3'", 'number'],
        TypeError,
    ),
    Case(
        'mode',
        {f'{LOSS}ccl': dict(type='ConsistentConstraintLoss', mode='both')},
        'mode must be one of ..., but got ...',
        ['mode', "'both'", "'ccl', 'euc', 'err'"],
    ),
    Case(
        'score',
        {f'{LOSS}ccl': dict(type='ConsistentConstraintLoss', score='softmax')},
        'score must be one of ..., but got ...',
        ['score', "'softmax'", "'prob', 'logit'"],
    ),
    Case(
        'average_clips',
        {f'{HEAD}average_clips': 'mean'},
        'average_clips of ... must be one of ..., but got ...',
        ['average_clips', "'mean'", "'vote', 'prob', 'score', None"],
    ),
    Case(
        'multi_class_head',
        {f'{HEAD}multi_class': True},
        '... does not support multi_class=True...',
        ['VideoLevelI3DHead', 'multi_class=True', 'one class a video'],
    ),
    Case(
        'head_without_classes',
        {f'{HEAD}type': 'VideoLevelFeatureHead'},
        'there is no Video...',
        ['VideoLevelFeatureHead', 'it extracts features'],
    ),
    Case(
        'head_without_one_class_layer',
        {f'{HEAD}type': 'VideoAttentionTRNHead'},
        'there is no Video...',
        ['VideoAttentionTRNHead', 'sums over sets of frames'],
    ),
    Case(
        'attention_of_a_head_without',
        {f'{HEAD}average_clips': 'attention'},
        'average_clips of ... must be one of ..., but got ...',
        ['VideoLevelI3DHead', "'attention'", "type='VideoAttentionI3DHead'"],
    ),
    Case(
        'attention_of_a_stock_head',
        {**STOCK_HEAD, **CLIP_LOSS, f'{HEAD}average_clips': 'attention'},
        'model.cls_head.average_clips=... is unknown to ...',
        ["'attention'", "'I3DHead'", "type='VideoAttentionI3DHead'"],
    ),
    Case(
        'vote_of_a_stock_head',
        {**STOCK_HEAD, **CLIP_LOSS, f'{HEAD}average_clips': 'vote'},
        'model.cls_head.average_clips=... is unknown to ...',
        ["'vote'", "'I3DHead'", "type='VideoLevelI3DHead'"],
    ),
    Case(
        'attention_with_the_loss_of_another_head',
        {f'{HEAD}type': 'VideoAttentionI3DHead'},
        '... learns its attention from a loss that knows of it...',
        ['VideoAttentionI3DHead', 'VideoLevelLoss', "'VideoAttentionLoss'"],
    ),
    Case(
        'loss_of_attention_in_a_head_without',
        {f'{HEAD}loss_cls': dict(type='VideoAttentionLoss')},
        "model.cls_head.loss_cls.type='VideoAttentionLoss' needs the scores "
        'of a gate...',
        ["type='VideoAttentionI3DHead'", "'VideoLevelI3DHead'"],
    ),
    Case(
        'full_convolution_with_attention',
        {f'{HEAD}type': 'VideoAttentionI3DHead',
         f'{HEAD}loss_cls': dict(type='VideoAttentionLoss'),
         'model.test_cfg': dict(fcn_test=True)},
        'model.test_cfg.fcn_test=True puts a convolution...',
        ["'VideoAttentionI3DHead'", 'fcn_test=False'],
    ),
    Case(
        'stock_head',
        STOCK_HEAD,
        'model.cls_head.type=... cannot tell the videos of a batch apart...',
        ["model.cls_head.type='I3DHead'", "type='VideoLevelI3DHead'",
         'batch_size=1'],
    ),
    Case(
        'num_classes_too_small',
        {f'{HEAD}num_classes': 2},
        'model.cls_head.num_classes=..., but ... has the label ...',
        ['num_classes=2', 'ann.txt has the label 2 (line 3)', 'at least 3'],
    ),
    Case(
        'num_classes_too_small_for_the_test_videos',
        {'val_dataloader.dataset.ann_file': 'more.txt'},
        'model.cls_head.num_classes=..., but ... has the label ...',
        ['num_classes=3', 'more.txt has the label 7 (line 2)', 'at least 8'],
    ),
    Case(
        'num_classes_too_small_in_a_test',
        {'test_dataloader.dataset.ann_file': 'more.txt'},
        'model.cls_head.num_classes=..., but ... has the label ...',
        ['num_classes=3', 'more.txt has the label 7', 'at least 8'],
    ),
    Case(
        'fewer_names_than_labels',
        {'val_dataloader.dataset.metainfo': dict(classes=('run', 'jump'))},
        "metainfo['classes'] names ... classes, but ... has the label ...",
        ['names 2 classes', 'ann.txt has the label 2', 'at least 3'],
    ),
    Case(
        'scores_of_clips_for_the_accuracy',
        {f'{HEAD}average_clips': None},
        'model.cls_head.average_clips=None keeps the scores of each clip...',
        ['AccMetric in val_evaluator', "average_clips='vote'"],
    ),
    Case(
        'scores_of_clips_for_the_accuracy_of_a_test',
        {f'{HEAD}average_clips': None,
         'test_evaluator': dict(type='AccMetric')},
        'model.cls_head.average_clips=None keeps the scores of each clip...',
        ['AccMetric in test_evaluator', "average_clips='vote'"],
    ),
    Case(
        'in_channels',
        {f'{HEAD}in_channels': 32},
        'model.cls_head.in_channels=..., but model.backbone.fc_channels=...',
        ['in_channels=32', 'write in_channels=16'],
    ),
    Case(
        'mixup',
        {'model.type': 'Recognizer3D', f'{VAL}stream_above': None, **MIXUP},
        'model.data_preprocessor.blending=... mixes clips...',
        ['MixupBlending', 'VideoLevelLoss', 'Use blending=None'],
    ),
    Case(
        'mixup_in_the_video_level_recognizer',
        {'model.type': 'VideoLevelRecognizer3D', **MIXUP},
        '... mixes clips of different videos, which ...',
        ['MixupBlending', 'VideoLevelLoss', 'remove `blending`'],
    ),
    Case(
        'clip_collate_and_the_stock_preprocessor',
        {
            f'{TRAIN}collate_fn': dict(type='clip_collate'),
            'model.data_preprocessor.type': 'ActionDataPreprocessor',
        },
        "train_dataloader.collate_fn.type='clip_collate' gives a batch as "
        'one tensor...',
        ['clip_collate', "'ActionDataPreprocessor'", 'ClipDataPreprocessor'],
    ),
    Case(
        'mixup_with_chunks',
        {**CHUNKS, **CLIP_SAMPLER, **CLIP_LOSS, **MIXUP},
        '... mixes clips of a batch, which max_training_views and '
        'backward_share...',
        ['MixupBlending', 'max_training_views', 'remove `blending`'],
    ),
    Case(
        'sync_bn_with_chunks',
        {
            **CHUNKS,
            'model.backbone': dict(
                type='ResNet3dSlowOnly', depth=50, pretrained=None,
                base_channels=1, conv1_kernel=(1, 7, 7), inflate=(0, 0, 1, 1),
                norm_cfg=dict(type='SyncBN'), norm_eval=False,
            ),
            f'{HEAD}spatial_type': 'avg', f'{HEAD}in_channels': 32,
        },
        'max_training_views does not go with SyncBatchNorm...',
        ['max_training_views', 'SyncBatchNorm', 'norm_eval=True'],
    ),
    Case(
        'chunks_in_the_stock_recognizer',
        {**CHUNKS, 'model.type': 'Recognizer3D'},
        'model.type=... ignores train_cfg.max_training_views=...',
        ["'Recognizer3D'", 'max_training_views=2',
         "'VideoLevelRecognizer3D'"],
    ),
    Case(
        'chunks_of_no_clips',
        {**CHUNKS, 'model.train_cfg': dict(max_training_views=0)},
        'max_training_views must be at least 1, but got ...',
        ['max_training_views', 'at least 1', 'got 0'],
    ),
    Case(
        'share_of_the_clips_in_percent',
        {**CHUNKS, 'model.train_cfg': dict(backward_share=50)},
        'backward_share must be above 0 and at most 1...',
        ['backward_share', 'got 50'],
    ),
    Case(
        'share_of_the_clips_and_batch_norm',
        {
            **CHUNKS,
            'model.train_cfg': dict(backward_share=0.5),
            'model.backbone': dict(
                type='ResNet3dSlowOnly', depth=50, pretrained=None,
                base_channels=1, conv1_kernel=(1, 7, 7), inflate=(0, 0, 1, 1),
                norm_eval=False,
            ),
            f'{HEAD}spatial_type': 'avg', f'{HEAD}in_channels': 32,
        },
        'backward_share does not go with the ... BatchNorm layers...',
        ['backward_share', 'BatchNorm', 'norm_eval=True'],
    ),
    Case(
        'share_of_the_clips_in_the_stock_recognizer',
        {'model.type': 'Recognizer3D',
         'model.train_cfg': dict(backward_share=0.5)},
        'model.type=... ignores train_cfg.backward_share=...',
        ["'Recognizer3D'", 'backward_share=0.5',
         "'VideoLevelRecognizer3D'"],
    ),
    Case(
        'pretrained_convs',
        {'model.backbone.pretrained_convs': 'lost.pth'},
        'pretrained_convs: no file ...',
        ['pretrained_convs', 'lost.pth'],
        FileNotFoundError,
    ),
    # --- checkpoints
    Case(
        'checkpoint_of_another_network',
        {'load_from': 'OTHER/other.pth'},
        '...: nothing of this checkpoint fits the model...',
        ['other.pth', 'Missing in it: backbone.conv1.weight',
         'Not in the model: layer.weight'],
    ),
    Case(
        'test_of_another_network',
        {'load_from': 'OTHER/classes.pth', 'test_cfg': dict(type='TestLoop')},
        '...: this checkpoint does not fit the model, and testing ...',
        ['classes.pth', 'cls_head.fc_cls.weight (5, 16), not (3, 16)',
         'default_hooks.checkpoint_fit.strict=False'],
    ),
    Case(
        'other_classes_than_when_it_was_stopped',
        {'load_from': 'OTHER/classes.pth', 'resume': True},
        '...: this checkpoint does not fit the model, so that training ...',
        ['classes.pth', 'cls_head.fc_cls.weight (5, 16), not (3, 16)',
         'load_from without resume'],
    ),
    Case(
        'folder_as_a_checkpoint',
        {'load_from': 'OTHER'},
        '... is a folder: name a checkpoint...',
        ['it holds classes.pth, cut.pth, empty.pth, other.pth'],
    ),
    Case(
        'another_file_as_a_checkpoint',
        {'load_from': 'OTHER/ann.txt'},
        '... is no checkpoint, or was cut short...',
        ['ann.txt', 'Name another'],
    ),
    Case(
        'checkpoint_that_was_cut_short',
        {'load_from': 'OTHER/cut.pth', 'test_cfg': dict(type='TestLoop')},
        '... is no checkpoint, or was cut short...',
        ['cut.pth', 'fetch it again'],
    ),
    Case(
        'empty_checkpoint',
        {'load_from': 'OTHER/empty.pth'},
        '... is no checkpoint, or was cut short...',
        ['empty.pth'],
    ),
    Case(
        'address_without_a_connection',
        {'load_from': 'http://127.0.0.1:9/net-1.pth'},
        '... could not be fetched (...',
        ['http://127.0.0.1:9/net-1.pth', 'checkpoints/net-1.pth'],
        ConnectionError,
    ),
    # --- samplers
    Case(
        'no_batch_sampler',
        {f'{TRAIN}batch_sampler': None},
        'train_dataloader has the sampler VideoGroupedSampler without ...',
        ['VideoGroupedSampler', "type='VideoGroupedBatchSampler'", '2 clips'],
    ),
    Case(
        'batch_sampler_on_another_sampler',
        {f'{TRAIN}sampler.type': 'DefaultSampler'},
        'VideoGroupedBatchSampler needs sampler=..., got ...',
        ["type='VideoGroupedSampler'", 'got DefaultSampler'],
        TypeError,
    ),
    Case(
        'clips_shuffled_over_the_batches',
        CLIP_SAMPLER,
        'model.cls_head.loss_cls.type=... compares the clips of a video...',
        ["'VideoLevelLoss'", "sampler.type='DefaultSampler'",
         "sampler=dict(type='VideoGroupedSampler')"],
    ),
    Case(
        'clips_shuffled_by_stock',
        {**CLIP_SAMPLER, f'{TRAIN}batch_sampler': None},
        'model.cls_head.loss_cls.type=... compares the clips of a video...',
        ["'VideoLevelLoss'", "sampler.type='DefaultSampler'",
         "batch_sampler=dict(type='VideoGroupedBatchSampler')"],
    ),
    Case(
        'batch_size_0',
        {f'{TRAIN}batch_size': 0},
        'batch_size must be at least 1, got ...',
        ['batch_size', 'at least 1', 'got 0'],
    ),
    Case(
        'batch_size_none',
        {f'{TRAIN}batch_size': None},
        'batch_size must be a positive int, got ...',
        ['batch_size', 'positive int', 'None'],
        TypeError,
    ),
    Case(
        'batch_size_above_the_videos',
        {f'{TRAIN}batch_size': 100},
        'batch_size=... videos, but the dataset has ...',
        ['batch_size=100', 'has 3'],
    ),
    Case(
        'drop_last_drops_all',
        {f'{TRAIN}batch_size': 4, f'{TRAIN}batch_sampler.drop_last': True},
        'batch_size=... with drop_last=True leaves no batch of ...',
        ['batch_size=4', 'drop_last=True', '3 videos'],
    ),
    Case(
        'num_batch_per_epoch',
        {f'{TRAIN}num_batch_per_epoch': 10},
        'num_batch_per_epoch asks for ... videos an epoch...',
        ['num_batch_per_epoch', '20 videos', 'has 3'],
    ),
    Case(
        'window',
        {f'{TRAIN}sampler.window': 0},
        'window must be at least 1, got ...',
        ['window', 'at least 1', 'got 0'],
    ),
    # --- data
    Case(
        'no_annotation_file',
        {f'{DATASET}ann_file': 'lost.txt'},
        'There is no annotation file ...',
        ['lost.txt', 'ann_file', 'path label'],
        FileNotFoundError,
    ),
    Case(
        'no_videos_there',
        {f'{DATASET}data_prefix': dict(video='lost')},
        '... videos cannot be used...',
        ['line 1', 'lost/0.avi: there is no such file', 'max_bad_videos=0.05'],
    ),
    Case(
        'label_above_num_classes',
        {f'{DATASET}num_classes': 2},
        '...: the label ... is out of range...',
        ['ann.txt, line 3', 'label 2', '0 to 1', '`num_classes`'],
    ),
    Case(
        'label_is_text',
        {f'{DATASET}ann_file': 'names.txt'},
        '...: the label ... is not a whole number...',
        ['names.txt, line 1', "'running'", 'path label'],
    ),
    Case(
        'training_without_labels',
        {f'{DATASET}labelled': False},
        'labelled=False: training needs labels...',
        ['labelled=False'],
    ),
    Case(
        'multi_class_dataset',
        {f'{DATASET}multi_class': True},
        '... takes one label a video: multi_class=True is not supported...',
        ['VideoClipDataset', 'multi_class=True', 'one label'],
    ),
    Case(
        'percent_of_bad_videos',
        {f'{DATASET}max_bad_videos': 5},
        'max_bad_videos is a share, 0 to 1, got ...',
        ['max_bad_videos', '0 to 1', 'got 5'],
    ),
    Case(
        'stock_dataset',
        {f'{DATASET}type': 'VideoDataset'},
        'VideoGroupedSampler needs a dataset whose items are clips, got ...',
        ['got VideoDataset', "type='VideoClipDataset'"],
        TypeError,
    ),
    Case(
        'stock_dataset_and_samplers',
        {f'{DATASET}type': 'VideoDataset', **CLIP_SAMPLER,
         f'{TRAIN}batch_sampler': None},
        'model.cls_head.loss_cls.type=... needs to know the video...',
        ["'VideoLevelLoss'", "dataset.type='VideoDataset'",
         "type='VideoClipDataset'"],
    ),
    Case(
        'wrapper_that_hides_the_clips',
        {f'{TRAIN}dataset': lambda config: dict(
            type='ClassBalancedDataset', oversample_thr=0.1,
            dataset=config.train_dataloader.dataset)},
        '... hides the clips of the dataset it wraps...',
        ['ClassBalancedDataset', 'RepeatDataset', 'ConcatDataset'],
        TypeError,
    ),
    Case(
        'index_of_another_data_set',
        {f'{DATASET}frame_index': 'OTHER/videos/frame_index.jsonl'},
        'frame_index=... is the index of other videos...',
        ['frame_index=', 'other_0.avi', 'Name another path'],
    ),
    Case(
        'index_is_another_file',
        {f'{DATASET}frame_index': 'OTHER/ann.txt'},
        '... is not a frame index...',
        ['ann.txt', '`frame_index`', 'Name another path'],
    ),
    # --- pipeline
    Case(
        'stock_frame_sampling',
        {SAMPLE: dict(type='SampleFrames', clip_len=4)},
        'The pipeline for ... needs the transform ...',
        ["type='SampleVideoClips'", "'SampleFrames'"],
    ),
    Case(
        'clips_longer_than_every_video',
        {f'{SAMPLE}.clip_len': 64},
        'SampleVideoClips: clip_len=... spans ... frames, but the longest ...',
        ['clip_len=64', 'spans 64 frames', 'at most 9 frames'],
    ),
    Case(
        'frames_too_far_apart',
        {f'{SAMPLE}.frame_interval': 10},
        'SampleVideoClips: clip_len=... spans ... frames, but the longest ...',
        ['frame_interval=10', 'spans 31 frames', 'at most 9 frames'],
    ),
    Case(
        'clip_len_0',
        {f'{SAMPLE}.clip_len': 0},
        'clip_len must be at least 1, got ...',
        ['clip_len', 'at least 1', 'got 0'],
    ),
    Case(
        'keep',
        {f'{SAMPLE}.max_clips': 2, f'{SAMPLE}.keep': 'last'},
        'keep must be one of ..., got ...',
        ['keep', "'last'", "'first', 'uniform', 'random'"],
    ),
    Case(
        'clip_len_unlike_input_size',
        {f'{SAMPLE}.clip_len': 2},
        'model.backbone.input_size=..., but the clips of train_dataloader ...',
        ['input_size=(4, 32, 32)', 'input_size=(2, 32, 32)', 'clip_len'],
    ),
    Case(
        'crop_unlike_input_size',
        {f'{CROP}.size': 40},
        'model.backbone.input_size=..., but the clips of train_dataloader ...',
        ['input_size=(4, 32, 32)', 'input_size=(4, 40, 40)', 'crop'],
    ),
    Case(
        'no_fixed_size',
        {CROP: dict(type='Resize', scale=(-1, 32))},
        '...pipeline of ... gives frames of several sizes...',
        ['pipeline', 'Resize', 'RandomCrop, CenterCrop or Resize with'],
    ),
    Case(
        'format_of_the_preprocessor',
        {'model.data_preprocessor.format_shape': 'NCHW'},
        'model.data_preprocessor.format_shape=..., but the clips ...',
        ["format_shape='NCHW'", "format_shape='NCTHW'"],
    ),
    Case(
        'format_of_the_pipeline',
        {f'{FORMAT}.input_format': 'NCHW'},
        'FormatShape: input_format=..., but model.type=... takes ...',
        ["input_format='NCHW'", "input_format='NCTHW'", "Recognizer3D'"],
    ),
    Case(
        'not_packed',
        {PACK: NOTHING},
        'The pipeline of a ... must end with ...',
        ["type='PackActionInputs'"],
    ),
    Case(
        'not_packed_in_the_validation',
        {VAL_PACK: NOTHING},
        'The pipeline of a ... must end with ...',
        ["type='PackActionInputs'"],
    ),
    Case(
        'not_formatted',
        {FORMAT: NOTHING},
        '..._dataloader.dataset.pipeline has no FormatShape...',
        ['train_dataloader', "input_format='NCTHW'", 'PackActionInputs'],
    ),
    Case(
        'not_formatted_in_the_validation',
        {VAL_FORMAT: NOTHING},
        '..._dataloader.dataset.pipeline has no FormatShape...',
        ['val_dataloader', "input_format='NCTHW'"],
    ),
    Case(
        'format_of_the_validation',
        {f'{VAL_FORMAT}.input_format': 'NCHW'},
        'FormatShape: input_format=..., but model.type=... takes ...',
        ["input_format='NCHW'", 'val_dataloader', "'NCTHW'"],
    ),
    Case(
        'stock_frame_sampling_in_the_validation',
        {VAL_SAMPLE: ONE_CLIP},
        'The pipeline for ... needs the transform ...',
        ["type='SampleVideoClips'", "'SampleFrames'"],
    ),
    # --- validation
    Case(
        'no_videos_there_for_the_validation',
        {f'{VAL}data_prefix': dict(video='lost')},
        '... videos cannot be used...',
        ['line 1', 'lost/0.avi: there is no such file', 'max_bad_videos=0'],
    ),
    Case(
        'no_videos_there_for_the_test',
        {f'{TEST}data_prefix': dict(video='lost')},
        '... videos cannot be used...',
        ['line 1', 'lost/0.avi: there is no such file', 'max_bad_videos=0'],
    ),
    Case(
        'no_videos_there_for_stock',
        {**STOCK_VAL, f'{VAL}data_prefix': dict(video='lost')},
        '... videos of ... are not there, such as ...',
        ['3 of 3', 'ann.txt', 'lost/0.avi',
         'val_dataloader.dataset.data_prefix'],
    ),
    Case(
        'path_with_a_blank_for_stock',
        {**STOCK_VAL, f'{VAL}ann_file': 'blank.txt'},
        '...: ... is none that ... reads (...',
        ["blank.txt, line 2: 'my 1.avi 1'", 'VideoDataset', 'Wanted: a path'],
    ),
    Case(
        'label_is_text_for_stock',
        {**STOCK_VAL, f'{VAL}ann_file': 'names.txt'},
        '...: ... is none that ... reads (...',
        ["names.txt, line 1: '0.avi running'", 'Wanted: a path'],
    ),
    Case(
        'empty_line_for_stock_frames',
        {**STOCK_VAL, f'{VAL}type': 'RawframeDataset',
         f'{VAL}ann_file': 'frames.txt', f'{VAL}data_prefix': dict(img='')},
        '...: ... is none that ... reads (...',
        ["frames.txt, line 2: ''", 'RawframeDataset', 'no empty lines'],
    ),
    Case(
        'list_in_another_encoding_for_stock',
        {**STOCK_VAL, f'{VAL}ann_file': 'latin.txt'},
        '... Save the file as UTF-8...',
        ['latin.txt', 'position 0'],
    ),
    Case(
        'line_without_a_label_for_stock',
        {**STOCK_VAL, f'{VAL}ann_file': 'some.txt'},
        '... has no label for ... of its ... videos...',
        ['some.txt', '1 of its 2 videos', 'number 2 (line 2)'],
    ),
    Case(
        'line_without_a_label_for_stock_in_a_test',
        {'test_dataloader.dataset': lambda config: dict(
            STOCK_VAL['val_dataloader.dataset'](config), ann_file='some.txt')},
        '... has no label for ... of its ... videos...',
        ['some.txt', '1 of its 2 videos', 'a list of their own'],
    ),
    Case(
        'no_label_in_the_validation',
        {f'{VAL}ann_file': 'unlabelled.txt'},
        '... has too few fields...',
        ["unlabelled.txt, line 1: '0.avi'", 'Wanted: path label'],
    ),
    Case(
        'label_is_text_in_the_test',
        {f'{TEST}ann_file': 'names.txt'},
        '...: the label ... is not a whole number...',
        ['names.txt, line 1', "'running'", 'path label'],
    ),
    Case(
        'validation_without_labels',
        {f'{VAL}ann_file': 'unlabelled.txt', f'{VAL}labelled': False},
        'val_dataloader.dataset.labelled=False: ...',
        ['a validation needs labels', 'val_cfg'],
    ),
    Case(
        'frames_for_videos',
        {f'{VAL}data_prefix': dict(img='videos')},
        'data_prefix=... has no ...',
        ["'img':", "'video'", 'data_prefix=dict(video=...)'],
    ),
    Case(
        'one_clip_a_video_votes',
        {**STOCK_VAL, VAL_SAMPLE: ONE_CLIP},
        '..._dataloader.dataset.pipeline takes one clip of a video by ...',
        ['SampleFrames', 'ClipConsistencyMetric in val_evaluator',
         'SampleVideoClips'],
    ),
    Case(
        'several_videos_a_test_batch_with_few_clips',
        {'val_dataloader.batch_size': 2, f'{VAL_SAMPLE}.max_clips': 2},
        '..._dataloader.batch_size=..., but videos differ ...',
        ['val_dataloader.batch_size=2', 'write batch_size=1'],
    ),
    Case(
        'several_videos_a_batch_of_stock_with_few_clips',
        {**STOCK_VAL, 'val_dataloader.batch_size': 2,
         f'{VAL_SAMPLE}.max_clips': 2},
        '..._dataloader.batch_size=..., but videos differ ...',
        ['val_dataloader.batch_size=2', 'write batch_size=1'],
    ),
    Case(
        'stream_for_a_stock_recognizer',
        {'model.type': 'Recognizer3D', f'{VAL}stream_above': 4},
        '..._dataloader.dataset.stream_above=... gives clips as a stream...',
        ['val_dataloader', "'VideoLevelRecognizer3D'", 'stream_above=None'],
    ),
    Case(
        'several_videos_a_test_batch',
        {'val_dataloader.batch_size': 2},
        '..._dataloader.batch_size=..., but videos differ ...',
        ['val_dataloader.batch_size=2', 'write batch_size=1'],
    ),
    Case(
        'several_videos_a_batch_of_a_test',
        {'test_dataloader.batch_size': 4},
        '..._dataloader.batch_size=..., but videos differ ...',
        ['test_dataloader.batch_size=4', 'write batch_size=1'],
    ),
    Case(
        'clips_one_by_one_in_the_test',
        {'val_dataloader.dataset':
            lambda config: config.train_dataloader.dataset},
        '..._dataloader.dataset.type=... gives clips one by one...',
        ["'VideoClipDataset'", "type='WholeVideoDataset'"],
    ),
    Case(
        'metric_without_clip_scores',
        {**STOCK_HEAD, **CLIP_LOSS},
        '..._evaluator has ClipConsistencyMetric, but model.cls_head.type=...',
        ["'I3DHead'", "type='VideoLevelI3DHead'"],
    ),
    Case(
        'save_best_of_no_metric',
        {'val_evaluator': [dict(type='ClipConsistencyMetric')]},
        'default_hooks.checkpoint.save_best=..., but val_evaluator ...',
        ["save_best='acc/top1'", "['clip']"],
    ),
    Case(
        'out_file_of_another_kind',
        {'val_evaluator': [
            dict(type='ClipConsistencyMetric', out_file='scores.pkl')]},
        "out_file must end in '.npz', got ...",
        ['out_file', "'scores.pkl'", "'.npz'"],
    ),
]
# fmt: on


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    write_dataset(folder, [5, 9, 4], num_classes=3)
    (folder / 'more.txt').write_text('0.avi 0\n1.avi 7\n')
    (folder / 'unlabelled.txt').write_text('0.avi\n1.avi\n')
    (folder / 'blank.txt').write_text('0.avi 0\nmy 1.avi 1\n')
    (folder / 'some.txt').write_text('0.avi 0\n1.avi\n')
    (folder / 'frames.txt').write_text('0 8 0\n\n')
    (folder / 'latin.txt').write_bytes('é.avi 0\n'.encode('latin-1'))
    (folder / 'names.txt').write_text('0.avi running\n1.avi jumping\n')
    path = small_config(folder / 'config.py', 'vll_c3d_ucf101.py', folder)
    config = Config.fromfile(path)
    for stage in ('train', 'val', 'test'):
        loader = config[f'{stage}_dataloader']
        loader.update(num_workers=0, persistent_workers=False)
        # It collects garbage, which takes a while.
        loader.dataset.serialize_data = False
    config.model.cls_head.num_classes = 3
    config.train_dataloader.dataset.num_classes = None
    config.log_level = 'ERROR'
    return config


@pytest.fixture(scope='module')
def other_data(tmp_path_factory):
    """A data set of other videos, and its index; other checkpoints."""
    folder = tmp_path_factory.mktemp('other')
    shapes = {
        'other.pth': {'layer.weight': (2, 2)},
        'classes.pth': {
            'backbone.fc7.bias': (16,),
            'cls_head.fc_cls.weight': (5, 16),
        },
    }
    for name, parameters in shapes.items():
        state = {key: torch.zeros(shape) for key, shape in parameters.items()}
        torch.save(dict(state_dict=state), folder / name)
    whole = (folder / 'classes.pth').read_bytes()
    (folder / 'cut.pth').write_bytes(whole[: len(whole) // 2])
    (folder / 'empty.pth').touch()
    write_dataset(folder, [5])
    videos = folder / 'videos'
    (videos / '0.avi').rename(videos / 'other_0.avi')
    index = videos / 'frame_index.jsonl'
    index.write_text(
        '{"format": "vll_mmaction frame index", "version": 1}\n'
        '["other_0.avi", 1, 1, 5, ""]\n'
    )
    return folder


@pytest.fixture(autouse=True)
def no_step(monkeypatch):
    def started(*args):
        raise Started

    monkeypatch.setattr(EpochBasedTrainLoop, 'run_iter', started)
    # What the log says of machine and config takes a second each time.
    monkeypatch.setattr(
        runner, 'collect_env', functools.cache(runner.collect_env)
    )
    monkeypatch.setattr(Config, 'pretty_text', property(str))
    # One process has no SyncBatchNorm: as if there were several.
    monkeypatch.setattr(runner, 'revert_sync_batchnorm', lambda model: model)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def edited(config, edit, other_data):
    """A copy of a config with other values."""
    config = copy.deepcopy(config)
    for key, value in edit.items():
        if callable(value):
            value = value(config)
        if isinstance(value, str):
            value = value.replace('OTHER', str(other_data))
        *path, last = (
            int(name) if name.isdigit() else name for name in key.split('.')
        )
        functools.reduce(lambda part, name: part[name], path, config)[last] = (
            value
        )
    return config


def start(config, work_dir, test=False):
    """As train.py or test.py do."""
    config.work_dir = str(work_dir)
    # Runs of the same name in one process would share a message hub.
    config.experiment_name = f'mistake_{next(_numbers)}'
    runner = Runner.from_cfg(config)
    runner.test() if test else runner.train()


def pattern(message):
    return re.escape(message).replace(re.escape('...'), '.*')


def test_without_a_mistake_it_starts(config, tmp_path):
    with pytest.raises(Started):
        start(copy.deepcopy(config), tmp_path)


@pytest.mark.parametrize('case', CASES, ids=[case.id for case in CASES])
def test_mistake(case, config, other_data, tmp_path):
    with pytest.raises(case.error) as caught:
        test = any(key.startswith('test_') for key in case.edit)
        start(edited(config, case.edit, other_data), tmp_path, test)
    message = str(caught.value.args[0])
    assert re.match(pattern(case.message), message, re.DOTALL)
    for name in case.names:
        assert name in message


def test_the_documentation_has_each_message_and_no_other():
    text = (ROOT / 'docs/config_mistakes.md').read_text()
    # Mistakes with features are made where features are: in
    # test_clip_feature_dataset.py and test_clip_feature_loop.py.
    text = re.sub(r'^## Features\n.*?(?=^## )', '', text, flags=re.M | re.S)
    rows = re.findall(r'^\| `(.+?)` \| .+ \| .+ \|$', text, re.MULTILINE)
    assert len(rows) == len(set(rows))
    assert set(rows) == {case.message for case in CASES}
