"""The GPU check, in small and without a GPU."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / 'tools/gpu_check.sh'
sys.path.append(str(ROOT / 'tools/gpu_check'))

import run as gpu_check  # noqa: E402


def start(*words):
    return subprocess.run(
        ['bash', SCRIPT, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_all_that_needs_no_gpu(tmp_path):
    options = '--python', sys.executable, '--device', 'cpu', '--quick'
    found = start(*options, '--out', tmp_path / 'out')
    assert found.returncode == 0, found.stdout
    results = json.loads((tmp_path / 'out/report.json').read_text())
    states = [part['state'] for part in results['parts']]
    assert sorted(states) == ['done'] * 6 + ['left out, it needs CUDA'] * 2
    headers = {
        table[0][0]: [row[0] for row in table[1:]]
        for part in results['parts']
        for table in part['tables']
    }
    assert 'bf16, channels_last_3d' in headers['variant']
    assert headers['way'] == ['plain', 'chunks']
    assert headers['case'] == ['epochs, 1 rank, deterministic']
    assert headers['training'][-1] == 'vll_c3d_finetune'
    assert len(headers['']) == 4
    report = (tmp_path / 'out/report.md').read_text()
    assert all(part['title'] in report for part in results['parts'])
    assert 'Nothing is wrong.' in report or '! ' in report


def test_a_failing_part_does_not_end_the_rest(monkeypatch, tmp_path):
    parts = [
        gpu_check.Part('slow', ['-c', 'import time; time.sleep(99)'], 5.5),
        gpu_check.Part('wrong', ['-c', 'print("| a | b |"); 1 / 0'], 60),
        gpu_check.Part('good', ['-c', 'print("| a |\\n| - |\\n| 1 |")'], 60),
    ]
    monkeypatch.setattr(gpu_check, 'all_parts', lambda *_: parts)
    monkeypatch.setattr(sys, 'argv', ['run.py', str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        gpu_check.main()
    assert end.value.code == 1
    assert [part.state for part in parts] == [
        'stopped after 6 s',
        'failed (1)',
        'done',
    ]
    assert parts[2].tables == [[['a'], ['1']]]
    assert 'ZeroDivisionError' in (tmp_path / 'report.md').read_text()


@pytest.mark.parametrize(
    'words, said',
    [
        (['--no'], 'There is no option --no'),
        (['--device', 'tpu'], 'The device is found, or cpu'),
        (['--python', 'nowhere'], 'nowhere has no PyTorch'),
        (['--fetch', '3.12'], 'Usage: gpu_check.sh'),
    ],
)
def test_a_wrong_call_is_told(words, said):
    found = start(*words)
    assert found.returncode == 2 and said in found.stdout
