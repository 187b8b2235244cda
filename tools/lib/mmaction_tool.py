"""Finds and starts a script of MMAction2's tools, for launch.sh and mim.

As a program it sees whether the script is there, and prints the number of CUDA
devices and the number of CPU threads that PyTorch would use, each on a line.
"""

import importlib.util
import os
import runpy
import sys
import warnings

# The first lines of every log, which nobody who trains can do anything about.
NOISE = ('pkg_resources is deprecated', 'Fail to import ``MultiScaleDeform')


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


def run_tool(script: str) -> None:
    """Run a script as its own main program, with this one's arguments.

    One of several processes that fails hands its error to the launcher, which
    prints it at the very end.
    """
    from torch.distributed.elastic.multiprocessing.errors import record

    for message in NOISE:
        warnings.filterwarnings('ignore', message)
    record(runpy.run_path)(find_tool(script), run_name='__main__')


def main() -> None:
    """Print what launch.sh wants to know."""
    find_tool(sys.argv[1])
    package_folder('vll_mmaction', 'pip install -e . in its folder')
    import torch

    print(torch.cuda.device_count(), torch.get_num_threads(), sep='\n')


if __name__ == '__main__':
    main()
