"""Folders as people really bring them: what is broken is named in one line, what is an adapter stays one."""

import json
import re
import shutil
import warnings

import peft
import pytest
import torch
from lm_fixtures import tiny_model, words_tokenizer
from transformers import AutoModelForCausalLM

from baselines.lm import saving
from baselines.lm.engines import engine_for
from baselines.lm.loading import add_adapters, load_model
from baselines.lm.saving import save

TOKENIZER = words_tokenizer([f"w{k}" for k in range(20)])
IDS = torch.tensor([[5, 6, 7, 8, 9]])
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 538090408\n"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A model folder in which nothing is wrong."""
    folder = tmp_path_factory.mktemp("model") / "whole"
    save(tiny_model("llama", TOKENIZER), None, TOKENIZER, folder)
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "m")
    return tmp_path / "m"


def edit(file, **changes):
    """Change keys of a JSON file; None takes one away."""
    held = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in held.items() if value is not None}))


def refusal(folder):
    """The line that names what is wrong with a folder."""
    with pytest.raises(ValueError) as caught:
        load_model(str(folder), "cpu")
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400 + len(str(folder))
    return message


def cut(file, size):
    file.write_bytes(file.read_bytes()[:size])


def shard(folder, missing):
    """Two shards and their index, one shard of which is gone."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="10KB")
    (folder / sorted(file.name for file in folder.glob("model-*"))[missing]).unlink()


def as_pickle(folder, size=None):
    weights = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    if size is not None:
        cut(folder / "pytorch_model.bin", size)


def without_a_tensor(folder):
    model = AutoModelForCausalLM.from_pretrained(folder)
    weights = {key: value for key, value in model.state_dict().items() if "layers.1.mlp" not in key}
    model.save_pretrained(folder, state_dict=weights)


def with_ggufs_only(folder):
    (folder / "model.safetensors").rename(folder / "model-q4.gguf")


BROKEN = {
    "weights are a pointer": (
        lambda f: (f / "model.safetensors").write_text(POINTER),
        r"model\.safetensors: is a pointer of git-lfs.*git lfs pull",
    ),
    "tokenizer is a pointer": (
        lambda f: (f / "tokenizer.json").write_text(POINTER),
        r"tokenizer\.json: is a pointer of git-lfs",
    ),
    "weights are cut": (
        lambda f: cut(f / "model.safetensors", 9000),
        r"model\.safetensors: has 9000 bytes of the \d+",
    ),
    "weights are cut in their header": (
        lambda f: cut(f / "model.safetensors", 200),
        r"model\.safetensors: is cut within its header, at 200 bytes",
    ),
    "weights are empty": (
        lambda f: cut(f / "model.safetensors", 0),
        r"model\.safetensors: is cut .* 0 bytes",
    ),
    "weights are a web page": (
        lambda f: (f / "model.safetensors").write_text("<!doctype html>" + " " * 99),
        r"model\.safetensors: ",
    ),
    "a pickle is cut": (lambda f: as_pickle(f, 5000), r"pytorch_model\.bin: is cut, at 5000 bytes"),
    "a shard is missing": (
        lambda f: shard(f, 1),
        r"model-00002-of-\d+\.safetensors is not there, 1 of \d+ shards that model\.safetensors\.index\.json",
    ),
    "the first shard is missing": (lambda f: shard(f, 0), r"model-00001-of-\d+\.safetensors is not there"),
    "no weights": (
        lambda f: (f / "model.safetensors").unlink(),
        r"m: has no weights; need one of model\.safet",
    ),
    "only GGUF": (with_ggufs_only, r"has no weights; .*give the GGUF file itself"),
    "a tensor is missing": (without_a_tensor, r"its weights lack 3 tensors, e\.g\. model\.layers\.1\.mlp"),
    "no model_type": (lambda f: edit(f / "config.json", model_type=None), r"config\.json: has no model_type"),
    "an unknown model_type": (lambda f: edit(f / "config.json", model_type="zork9"), "zork9"),
    "config is cut": (lambda f: cut(f / "config.json", 40), r"config\.json: is not JSON"),
    "config is a list": (lambda f: (f / "config.json").write_text("[]"), r"config\.json: need a JSON object"),
    "tokenizer is cut": (lambda f: cut(f / "tokenizer.json", 100), r"tokenizer\.json: is not JSON"),
    "tokenizer is another thing": (
        lambda f: (f / "tokenizer.json").write_text('{"a": 1}'),
        r"m' cannot be loaded: ",
    ),
    "an encoder and decoder": (
        lambda f: edit(f / "config.json", model_type="t5", architectures=["T5ForConditionalGeneration"]),
        "T5Config",
    ),
    "quantised, its package is missing": (
        lambda f: edit(
            f / "config.json", quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True}
        ),
        "bitsandbytes",
    ),
    "its own code": (
        lambda f: edit(
            f / "config.json",
            model_type="zork9",
            auto_map={"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"},
        ),
        "m' cannot be loaded: .*",
    ),
    "weights of another shape": (
        lambda f: edit(f / "config.json", intermediate_size=50),
        "m' cannot be loaded: .*",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_folder_is_refused_in_one_line_that_names_the_file(kind, folder):
    damage, why = BROKEN[kind]
    damage(folder)

    assert re.search(why, refusal(folder))


UNREAD = {
    "a picture is a pointer": ("figure.png", POINTER),
    "weights of a second format are a pointer": ("pytorch_model.bin", POINTER),
    "weights of a second format are cut": ("pytorch_model.bin", "PK cut"),
    "an index of a second format is cut": ("pytorch_model.bin.index.json", "{"),
    "results are a list": ("results.json", "[]"),
    "a trainer's state is cut": ("trainer_state.json", '{"step": '),
    "a trainer's arguments are a pointer": ("training_args.bin", POINTER),
}


@pytest.mark.parametrize("kind", UNREAD)
def test_files_that_no_loader_reads_may_be_broken(kind, folder):
    name, text = UNREAD[kind]
    (folder / name).write_text(text)
    assert load_model(str(folder), "cpu")[0](input_ids=IDS).logits.shape == (1, 5, 23)


@pytest.mark.parametrize(
    "asked", [{"return_dict": False}, {"output_attentions": True}, {"output_hidden_states": True}]
)
def test_what_a_configuration_makes_a_model_return_stops_neither_its_logits_nor_its_saving(
    asked, folder, tmp_path
):
    wanted = load_model(str(folder), "cpu")[0](input_ids=IDS).logits
    edit(folder / "config.json", **asked)
    model, tokenizer = load_model(str(folder), "cpu")
    assert torch.equal(model(input_ids=IDS).logits, wanted)
    assert engine_for(model)
    save(model, None, tokenizer, tmp_path / "out")
    save(add_adapters(model, ["agent_0"], 2, 8), "agent_0", tokenizer, tmp_path / "adapter")
    assert torch.equal(load_model(str(tmp_path / "out"), "cpu")[0](input_ids=IDS).logits, wanted)
    assert torch.allclose(load_model(str(tmp_path / "adapter"), "cpu")[0](input_ids=IDS).logits, wanted)


def test_a_chat_template_in_a_processors_file_is_read(folder):
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": "{{ messages[0].content }}!"}))
    assert load_model(str(folder), "cpu")[1].chat_template == "{{ messages[0].content }}!"
    (folder / "chat_template.jinja").write_text("{{ messages[0].content }}")
    assert load_model(str(folder), "cpu")[1].chat_template == "{{ messages[0].content }}"


def test_a_tokenizer_larger_than_the_model_is_refused(folder):
    words_tokenizer([f"w{k}" for k in range(40)]).save_pretrained(folder)
    assert "its tokenizer writes token 42, its embedding has 23 rows (LlamaForCausalLM)" in refusal(folder)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"x")
    assert "model.safetensors': is a file; need a GGUF file, or a folder" in refusal(
        tmp_path / "model.safetensors"
    )
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "model-q4.gguf").write_bytes(b"GGUF")
    assert "neither config.json nor adapter_config.json; give the GGUF file itself" in refusal(
        tmp_path / "only"
    )


def test_whole_folders_of_every_kind_of_weights_load(folder):
    wanted = load_model(str(folder), "cpu")[0](input_ids=IDS).logits
    as_pickle(folder)
    assert torch.equal(load_model(str(folder), "cpu")[0](input_ids=IDS).logits, wanted)
    model = AutoModelForCausalLM.from_pretrained(folder)
    (folder / "pytorch_model.bin").unlink()
    model.save_pretrained(folder, max_shard_size="10KB")
    assert (folder / "model.safetensors.index.json").is_file()
    assert torch.equal(load_model(str(folder), "cpu")[0](input_ids=IDS).logits, wanted)


# adapters

KINDS = {
    "lora": peft.LoraConfig(r=2, target_modules="all-linear"),
    "lora, another rank for some": peft.LoraConfig(
        r=2,
        target_modules=["q_proj", "down_proj"],
        rank_pattern={"q_proj": 3},
        alpha_pattern={"down_proj": 5},
    ),
    "rslora": peft.LoraConfig(r=4, use_rslora=True, target_modules="all-linear"),
    "dora": peft.LoraConfig(r=2, use_dora=True, target_modules=["q_proj", "v_proj"]),
    "lora with an output layer": peft.LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["lm_head"]),
    "lora with embeddings": peft.LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["embed_tokens"]),
    "lora on the embedding": peft.LoraConfig(r=2, target_modules=["embed_tokens", "up_proj"]),
    "lora with biases": peft.LoraConfig(r=2, target_modules=["q_proj"], bias="lora_only"),
    "ia3": peft.IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]),
    "loha": peft.LoHaConfig(r=2, target_modules=["q_proj", "v_proj"]),
    "norms": peft.LNTuningConfig(target_modules=["input_layernorm"]),
}

TIED = ("lora", "lora with an output layer", "lora with embeddings")
"""on a model whose embedding is its output layer"""


def spread(model, seed=0):
    """As if trained: every weight of the adapters differs from what it began as."""
    with torch.no_grad():
        torch.manual_seed(seed)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.3)


def adapter(source, config, out, tied=False):
    """A folder of plain peft's, and the logits of what is in it."""
    model = AutoModelForCausalLM.from_pretrained(source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped = peft.get_peft_model(model, config).eval()
        spread(wrapped)
        wrapped.save_pretrained(out)
    TOKENIZER.save_pretrained(out)
    return wrapped(input_ids=IDS).logits.detach()


def as_peft_loads(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = peft.AutoPeftModelForCausalLM.from_pretrained(folder).eval()
    return model(input_ids=IDS).logits.detach()


def base_model(folder, tied=False):
    save(tiny_model("qwen3" if tied else "llama", TOKENIZER), None, TOKENIZER, folder)
    return folder


@pytest.mark.parametrize(
    ("kind", "tied"), [*((kind, False) for kind in KINDS), *((kind, True) for kind in TIED)]
)
def test_an_adapter_of_any_kind_is_merged_into_its_base(kind, tied, tmp_path):
    base = base_model(tmp_path / "first", tied)
    wanted = adapter(base, KINDS[kind], tmp_path / "one")
    model, tokenizer = load_model(str(tmp_path / "one"), "cpu")
    plain = load_model(str(base), "cpu")[0](input_ids=IDS).logits
    assert not torch.allclose(plain, wanted, atol=1e-3)
    assert torch.allclose(model(input_ids=IDS).logits, wanted, atol=1e-4)
    assert all(parameter.requires_grad for parameter in model.parameters())
    save(model, None, tokenizer, tmp_path / "full")
    assert torch.allclose(
        load_model(str(tmp_path / "full"), "cpu")[0](input_ids=IDS).logits, wanted, atol=1e-4
    )


@pytest.mark.parametrize(
    ("kind", "tied"), [("lora", False), ("dora", False), ("lora with an output layer", True), ("ia3", True)]
)
def test_what_is_trained_on_an_adapter_is_what_peft_and_we_load(kind, tied, tmp_path):
    base = base_model(tmp_path / "first", tied)
    wanted = adapter(base, KINDS[kind], tmp_path / "one")
    model, tokenizer = load_model(str(tmp_path / "one"), "cpu")
    wrapped = add_adapters(model, ["agent_0", "agent_1"], 2, 8).eval()
    wrapped.set_adapter("agent_1")
    spread(wrapped, 1)
    second = wrapped(input_ids=IDS).logits.detach()
    for _ in range(2):  # a resumed run saves again
        save(wrapped, "agent_1", tokenizer, tmp_path / "two")
    shutil.rmtree(base)  # the base of the second stage stands beside it
    assert not torch.allclose(second, wanted, atol=1e-3)
    assert torch.allclose(as_peft_loads(tmp_path / "two"), second, atol=1e-4)
    shutil.move(tmp_path / "two", tmp_path / "moved")
    moved = load_model(str(tmp_path / "moved"), "cpu")[0]
    assert torch.allclose(moved(input_ids=IDS).logits, second, atol=1e-4)


def test_an_adapter_on_an_adapter_of_peft_is_merged_into_both(folder, tmp_path):
    adapter(folder, KINDS["lora"], tmp_path / "one")
    model, tokenizer = load_model(str(tmp_path / "one"), "cpu")
    wrapped = add_adapters(model, ["agent_0"], 2, 8).eval()
    spread(wrapped, 1)
    save(wrapped, "agent_0", tokenizer, tmp_path / "two")
    shutil.rmtree(tmp_path / "two" / "base")
    edit(tmp_path / "two" / "adapter_config.json", base_model_name_or_path=str(tmp_path / "one"))
    loaded = load_model(str(tmp_path / "two"), "cpu")[0]
    assert torch.allclose(loaded(input_ids=IDS).logits, wrapped(input_ids=IDS).logits, atol=1e-4)


def test_an_adapter_names_its_base_by_its_full_path(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder.parent)
    model, tokenizer = load_model("m", "cpu")
    save(add_adapters(model, ["agent_0"], 2, 8), "agent_0", tokenizer, tmp_path / "out")
    named = json.loads((tmp_path / "out" / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert named == str(folder)
    assert not (tmp_path / "out" / "base").exists()


def test_words_that_an_adapter_has_added_are_read(folder, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(folder)
    more = words_tokenizer([f"w{k}" for k in range(25)])
    model.resize_token_embeddings(len(more))
    config = peft.LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["embed_tokens", "lm_head"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped = peft.get_peft_model(model, config).eval()
        spread(wrapped)
        wrapped.save_pretrained(tmp_path / "one")
    more.save_pretrained(tmp_path / "one")
    loaded, tokenizer = load_model(str(tmp_path / "one"), "cpu")
    assert torch.allclose(loaded(input_ids=IDS).logits, wrapped(input_ids=IDS).logits, atol=1e-4)
    assert len(tokenizer) == loaded.get_input_embeddings().weight.shape[0] == 28


def prompts(base, out):
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    adapter(base, config, out)


def prefixes(base, out):
    adapter(base, peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2), out)


def for_classes(base, out):
    adapter(base, KINDS["lora"], out)
    edit(out / "adapter_config.json", task_type="SEQ_CLS")


def of_another_model(base, out):
    adapter(base, KINDS["lora"], out)
    save(tiny_model("gpt2", TOKENIZER), None, TOKENIZER, out.parent / "other")
    edit(out / "adapter_config.json", base_model_name_or_path=str(out.parent / "other"))


def half(base, out):
    """An adapter that lacks the weights of one layer."""
    from safetensors.torch import load_file, save_file

    adapter(base, KINDS["lora"], out)
    weights = load_file(out / "adapter_model.safetensors")
    save_file(
        {key: value for key, value in weights.items() if "layers.1" not in key},
        out / "adapter_model.safetensors",
    )


def without_base(base, out):
    adapter(base, KINDS["lora"], out)
    edit(out / "adapter_config.json", base_model_name_or_path=str(out.parent / "gone" / "base"))


def on_itself(base, out):
    adapter(base, KINDS["lora"], out)
    edit(out / "adapter_config.json", base_model_name_or_path=str(out))


def nameless(base, out):
    adapter(base, KINDS["lora"], out)
    edit(out / "adapter_config.json", base_model_name_or_path=None)


def weightless(base, out):
    adapter(base, KINDS["lora"], out)
    (out / "adapter_model.safetensors").unlink()


def on_a_tied_embedding(base, out):
    """It changes what is read, not what is written; merged it would change both."""
    adapter(base_model(out.parent / "tied", True), KINDS["lora on the embedding"], out)


def switched_on_by_words(base, out):
    adapter(base, KINDS["lora"], out)
    edit(out / "adapter_config.json", alora_invocation_tokens=[19], task_type="CAUSAL_LM")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (prompts, "kind PROMPT_TUNING for the task CAUSAL_LM cannot be merged"),
        (prefixes, "kind PREFIX_TUNING for the task CAUSAL_LM cannot be merged"),
        (for_classes, "kind LORA for the task SEQ_CLS cannot be merged"),
        (of_another_model, "one' cannot be loaded: "),
        (half, "one' cannot be loaded: Found missing adapter keys"),
        (without_base, r"gone/base': no such folder"),
        (on_itself, "is an adapter whose base is itself"),
        (nameless, r"adapter_config\.json: has no base_model_name_or_path"),
        (weightless, r"one: has no weights; need one of adapter_model\.safetensors"),
        (switched_on_by_words, "one'"),
        (on_a_tied_embedding, "one': merged into its base, this adapter computes other logits"),
    ],
)
def test_an_adapter_that_cannot_be_merged_is_refused_by_name(make, why, folder, tmp_path):
    make(folder, tmp_path / "one")

    assert re.search(why, refusal(tmp_path / "one"))


def test_nothing_of_peft_is_said_to_whoever_trains_an_adapter(folder, tmp_path):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model, tokenizer = load_model(str(folder), "cpu")
        wrapped = add_adapters(model, ["agent_0", "agent_1"], 2, 8)
        save(wrapped, "agent_0", tokenizer, tmp_path / "one")
        load_model(str(tmp_path / "one"), "cpu")
    assert not [str(one.message) for one in said if issubclass(one.category, FutureWarning)]
    assert saving.BASE not in {path.name for path in (tmp_path / "one").iterdir()}
