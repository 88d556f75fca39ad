"""What all tests share."""

import os
import signal
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)
# The tests press Ctrl-C, which is ignored in what a shell runs in the background.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets: PUSHFORWARD_DATA, or shared/data beside the checkout."""
    here = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("PUSHFORWARD_DATA", here.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set PUSHFORWARD_DATA to a folder that has them")
    return folder
