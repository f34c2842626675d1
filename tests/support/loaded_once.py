"""Imported by a server that forks a test's processes: whatever it has done, they need not do again.

The first model that a process loads costs half a second, for patterns that transformers compiles.
"""

import tempfile
from pathlib import Path

import torch
from lm_fixtures import save, words_tokenizer

from baselines.lm import loading

torch.set_num_threads(1)  # threads of the server would be missing in what it forks
with tempfile.TemporaryDirectory() as folder:
    loading.load_model(save(Path(folder), "qwen3", words_tokenizer(["word"])), "cpu")
