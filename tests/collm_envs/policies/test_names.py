"""How policies are called where people read."""

import pytest

from collm_envs.policies.names import short_model, short_name


@pytest.mark.parametrize(
    ("policy", "shown"),
    [
        ("expert", "expert"),
        ("replay:runs/x/records.jsonl", "replay:runs/x/records.jsonl"),
        ("hf:smollm2", "smollm2"),
        ("hf:Qwen/Qwen3-1.7B?temperature=0.7", "Qwen/Qwen3-1.7B (temperature 0.7)"),
        ("hf:/a/b/c/model?temperature=0.7&max_new_tokens=40", "model (temperature 0.7, max_new_tokens 40)"),
        ("hf:runs/maac-seed0/agent_1", "maac-seed0/agent_1"),
        ("hf:./m/file.gguf", "file.gguf"),
        ("openai:http://host:8000/v1#Qwen/Qwen3-1.7B?temperature=0", "Qwen/Qwen3-1.7B (temperature 0)"),
        ("discussion:hf:/a/b/model", "discussion: model"),
        ("py:package.module:factory", "py:package.module:factory"),
    ],
)
def test_a_policy_is_shown_by_its_model_and_settings(policy, shown):
    assert short_name(policy) == shown


@pytest.mark.parametrize(
    ("place", "shown"),
    [("a/b", "a/b"), ("/a/b", "b"), ("~/b", "b"), ("a/b/c", "c"), ("tiny", "tiny"), ("", "")],
)
def test_a_hub_name_stays_and_a_path_is_its_end(place, shown):
    assert short_model(place) == shown
