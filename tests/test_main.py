import subprocess
import sys

import pytest

from vll_mmaction.__main__ import find_tool


def run(*args):
    command = [sys.executable, '-m', 'vll_mmaction', *args]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_tool_that_imports_the_models_first():
    found = run('analysis_tools/confusion_matrix.py', '--help')
    assert found.returncode == 0, found.stderr
    assert 'confusion_matrix.py [-h]' in found.stdout


def test_a_script_of_ones_own_gets_its_arguments(tmp_path):
    script = tmp_path / 'a tool.py'
    script.write_text('import sys, mmaction.models; print(sys.argv[1:])')
    assert run(str(script), 'x', '--y=1').stdout.strip() == "['x', '--y=1']"


def test_unknown_tools_are_named():
    with pytest.raises(SystemExit, match='no tool nowhere.py'):
        find_tool('nowhere.py')
    assert 'python -m vll_mmaction TOOL' in run().stderr
