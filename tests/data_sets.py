"""UCF101 and HMDB51 in small, as their archives unpack, for tests."""

from video_files import write_video

# Frames; at 16 a clip: 1, 1, 2, 3, 1, 2 clips.
UCF = {
    'Archery/v_Archery_g01_c01.avi': 29,
    'Archery/v_Archery_g08_c01.avi': 16,
    'Archery/v_Archery_g15_c01.avi': 32,
    'HandstandPushups/v_HandStandPushups_g01_c01.avi': 63,
    'HandstandPushups/v_HandStandPushups_g08_c01.avi': 9,
    'HandstandPushups/v_HandStandPushups_g15_c01.avi': 33,
}
# Marks of splits 1 to 3.
HMDB = {
    "climb/!50_'FIRST'_(a)_[b]&c;d=e@~+#1_climb_0.avi": (20, '120'),
    'climb/Two_climb_u_nm_np1_fr_med_0.avi': (48, '211'),
    'climb/Three_climb_u_nm_np1_fr_med_0.avi': (16, '002'),
    'climb_stairs/(One)_climb_stairs_f_cm_np1_ri_med_0.avi': (33, '122'),
    'climb_stairs/#Two_climb_stairs_f_cm_np1_ri_med_0.avi': (17, '211'),
}


def write_ucf_splits(folder):
    folder.mkdir(parents=True)
    (folder / 'classInd.txt').write_text('1 Archery\r\n2 HandstandPushups\r\n')
    for split, group in enumerate(('g01', 'g08', 'g15'), 1):
        test = [name for name in UCF if group in name]
        train = [
            f'{name} {1 if "Archery" in name else 2}'
            for name in UCF
            if group not in name
        ]
        for part, lines in (('test', test), ('train', train)):
            text = ''.join(line + '\r\n' for line in lines)
            (folder / f'{part}list{split:02d}.txt').write_bytes(text.encode())


def _write_hmdb_splits(folder):
    folder.mkdir(parents=True)
    for split in range(3):
        for class_name in ('climb', 'climb_stairs'):
            lines = [
                f'{name.split("/")[1]} {marks[split]} \n'
                for name, (_, marks) in HMDB.items()
                if name.split('/')[0] == class_name
            ]
            path = folder / f'{class_name}_test_split{split + 1}.txt'
            path.write_text(''.join(lines))


def write_archives(root):
    """Write videos and split files of both data sets.

    Args:
        root (pathlib.Path): Folder of ``ucf101`` and ``hmdb51``.
    """
    for name, frames in UCF.items():
        write_video(root / 'ucf101/UCF-101' / name, frames)
    for name, (frames, _) in HMDB.items():
        write_video(root / 'hmdb51/hmdb51_org' / name, frames)
    write_ucf_splits(root / 'ucf101/ucfTrainTestlist')
    _write_hmdb_splits(root / 'hmdb51/testTrainMulti_7030_splits')
