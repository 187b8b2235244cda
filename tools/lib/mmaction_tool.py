"""Finds a script of MMAction2's tools, for train.py, test.py and launch.sh.

Prints the path of the one of ours that starts it, the number of CUDA devices
and the number of CPU threads that PyTorch would use, each on a line.
"""

import importlib.util
import os
import sys


def package_folder(name: str, command: str) -> str:
    """Folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        sys.exit(f'{name} is not installed in {sys.executable}: {command}')
    return os.path.dirname(spec.origin)


def find_tool(script: str) -> str:
    """A script in the installed package, or in a source checkout."""
    package = package_folder('mmaction', 'pip install mmaction2')
    for folder in (f'{package}/.mim/tools', f'{package}/../tools'):
        path = os.path.abspath(os.path.join(folder, script))
        if os.path.isfile(path):
            return path
    sys.exit(f'{script} is not among the tools of MMAction2 in {package}')


def main() -> None:
    """Print what launch.sh wants to know."""
    find_tool(sys.argv[1])
    package_folder('vll_mmaction', 'pip install -e . in its folder')
    import torch

    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    tool = os.path.join(ours, sys.argv[1])
    print(tool, torch.cuda.device_count(), torch.get_num_threads(), sep='\n')


if __name__ == '__main__':
    main()
