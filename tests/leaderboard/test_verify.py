"""Whoever tampers with an entry is told where."""

import gzip
import json
import os
import shutil
import sys
import tracemalloc
import zipfile
from dataclasses import replace

import pytest
from leaderboard_entries import (
    ABOUT,
    change,
    change_record,
    make_entry,
    play,
    read_lines,
    whole,
    write_lines,
)

import collm_envs
from collm_envs.evaluation.episodes import evaluate
from collm_envs.evaluation.episodes import jobs as evaluation_jobs
from collm_envs.policies.seat import Reply
from collm_envs.policies.specs import seat_all
from collm_envs.writing import tldr
from leaderboard import bundle, lists, verify
from leaderboard.bundle import NotAccepted
from leaderboard.entry import About, read_entry
from leaderboard.submit import how_to_play, submit


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return whole(tmp_path_factory.mktemp("board"))


@pytest.fixture
def entry(original, tmp_path):
    return shutil.copytree(original, tmp_path / "entry")


def refused(path):
    with pytest.raises(NotAccepted) as caught:
        verify.verify(path)
    return str(caught.value)


def first(data):
    return data["turns"][0]


HERE = [name for name, listing in lists.LISTS.items() if "data" not in listing.kwargs]


@pytest.mark.parametrize("name", HERE)
def test_a_list_is_what_collm_eval_plays(name):
    listing = lists.find(name)
    env = collm_envs.make(listing.env, **listing.kwargs)
    assert lists.jobs(name) == evaluation_jobs(env, split="eval", episodes=64, seeds=4)
    assert listing.env in how_to_play(name)


def test_an_entry_that_was_really_played_is_verified(original):
    verdict = verify.verify(original)
    assert (verdict.episodes, verdict.inconclusive) == (256, 0)
    assert verdict.entry.id == "TLDR-v0/noisy"
    assert verdict.similar[verify.EXPERT] < 0.5


def test_an_entry_copied_from_another_or_from_the_expert_is_noticed(original, tmp_path):
    copied = shutil.copytree(original, tmp_path / "copied")
    change(copied, name="mine")
    assert verify.verify(copied, [original]).similar["TLDR-v0/noisy"] == 1.0
    assert verify.verify(make_entry(tmp_path, "TLDR-v0", "expert")).similar[verify.EXPERT] == 1.0


def test_an_entry_may_be_of_one_agent_that_does_all_the_work(tmp_path):
    entry = make_entry(tmp_path, "TLDR-v0", "noisy", kwargs={"num_agents": 1}, name="single")
    verdict = verify.verify(entry)
    assert (verdict.entry.list, verdict.entry.agents, verdict.entry.kwargs) == ("TLDR-v0", 1, lists.ALONE)


def test_a_list_on_the_hubs_data_is_played_and_verified_where_the_data_is(tmp_path, monkeypatch):
    """A folder stands for the hub, with the layout of its data set."""
    rows = "".join(json.dumps({"prompt": f"Post {k}: all of it."}) + "\n" for k in range(70))
    (tmp_path / "hub").mkdir()
    for split in ("train", "test"):
        (tmp_path / "hub" / f"{split}.jsonl").write_text(rows)
    monkeypatch.setattr(tldr, "SOURCE", replace(tldr.SOURCE, hub=(str(tmp_path / "hub"),)))
    entry = make_entry(tmp_path, "TLDR-v0-hub", "noisy")
    assert verify.verify(entry, hub=True).episodes == 256
    assert "verify with --hub" in refused(entry)


class Hostile:
    """Writes programs that mark and end whatever process runs them."""

    name = "hostile"
    text = "import os, sys\nsys.collm_was_here = True\nos._exit(3)\ndef aux(x):\n    return x"

    def act(self, seats):
        return [Reply(self.text) for _ in seats]


def shorten(name, tmp_path, monkeypatch):
    """Make of a list three pairs, each played once."""
    lines = lists.SPLITS.joinpath(f"{name}.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / f"{name}.jsonl").write_text("".join(lines[:3]))
    for setting, value in {"SPLITS": tmp_path, "PAIRS": 3, "TRIALS": 1}.items():
        monkeypatch.setattr(lists, setting, value)


def short_list_of_coophe(tmp_path, monkeypatch, policy):
    """An entry for a list of three pairs, each played once."""
    shorten("CoopHE-v0", tmp_path, monkeypatch)
    env = collm_envs.make("CoopHE-v0")
    evaluate(env, policy or seat_all(env.task, "expert", {}), lists.jobs("CoopHE-v0"), tmp_path / "run")
    about = About(name="a", kind="scripted", method="m", licence="MIT", contact="c", command="x")
    return submit([tmp_path / "run"], about, tmp_path / "entries")


def test_programs_of_an_entry_run_in_the_tasks_sandbox_and_nowhere_else(tmp_path, monkeypatch):
    entry = short_list_of_coophe(tmp_path, monkeypatch, dict.fromkeys(("agent_0", "agent_1"), Hostile()))
    assert verify.verify(entry).episodes == 3
    assert not hasattr(sys, "collm_was_here")


def test_a_tampered_verdict_is_refused_and_too_many_timeouts_are(tmp_path, monkeypatch):
    entry = short_list_of_coophe(tmp_path, monkeypatch, None)
    verdict = next(iter(json.loads(read_lines(entry)[1])["turns"][0]["verdicts"]))
    change_record(entry, 1, lambda d: first(d)["verdicts"].update({verdict: "wrong"}))
    assert "run-0.jsonl.gz:2: differs: turn 1, verdicts" in refused(entry)
    change_record(entry, 1, lambda d: first(d)["verdicts"].update({verdict: "timeout"}))
    assert "1 of 3 episodes timed out on replay" in refused(entry)


def test_a_trained_entry_brings_the_seeds_tokens_and_curves_of_its_runs(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text(json.dumps({"config": {"seed": 7, "steps": 2}}))
    (run / "metrics.jsonl").write_text('{"step": 1, "tokens": 10.0}\n{"step": 2, "tokens": 5.0}\n')
    (run / "eval.jsonl").write_text('{"step": 0, "return": 0.5}\n{"step": 2, "return": 1.5}\n')
    about = {"kind": "trained", "method": "MAGRPO", "models": ["tiny"], "hardware": "CPU", "commit": "abc"}
    entry = make_entry(tmp_path, "TLDR-v0", "noisy", training=[run], **about)
    made, _ = read_entry(bundle.open_bundle(entry))
    assert (made.seeds, made.tokens, made.curves) == ([7], 15, [[[0, 0.5], [2, 1.5]]])
    (run / "metrics.jsonl").write_text('{"step": 1, "tokens": 10.0}\n')
    with pytest.raises(ValueError, match="stopped at step 1 of 2"):
        make_entry(tmp_path, "TLDR-v0", "noisy", training=[run], name="again", **about)


def test_mixed_teams_have_a_list_of_their_own_with_a_run_for_every_pairing(tmp_path, monkeypatch):
    shorten("StrBuild-v1-tiny", tmp_path, monkeypatch)
    listing = lists.find("StrBuild-v1-tiny-crossplay")
    env = collm_envs.make(listing.env, **listing.kwargs)
    players = {name: seat_all(env.task, name, {}) for name in ("expert", "noisy")}
    folders = []
    for first, second in (("expert", "noisy"), ("noisy", "expert")):
        folders.append(tmp_path / f"{first}-{second}")
        seated = {"agent_0": players[first]["agent_0"], "agent_1": players[second]["agent_1"]}
        evaluate(env, seated, lists.jobs("StrBuild-v1-tiny-crossplay"), folders[-1])
    trained = {"kind": "trained", "models": ["tiny"], "hardware": "CPU", "commit": "abc", "seeds": (0, 1)}
    about = About(name="pair", **{**ABOUT, **trained})
    entry = submit(folders, about, tmp_path / "entries", mixed=True)
    verdict = verify.verify(entry)
    assert verdict.entry.list == "StrBuild-v1-tiny-crossplay"
    assert verdict.episodes == 2 * 3
    for fields in ({"seeds": [0, 1, 2]}, {"seeds": [0]}, {"kind": "scripted", "seeds": []}):
        copied = shutil.copytree(entry, tmp_path / f"copied-{len(fields['seeds'])}")
        change(copied, **fields)
        assert "field 'runs'" in refused(copied)
    with pytest.raises(ValueError, match="no cross-play list for TLDR-v0"):
        lists.list_of("TLDR-v0", {}, mixed=True)


TAMPERINGS = {
    "a reward": (lambda d: first(d).update(reward=3.0), "run-0.jsonl.gz:8: differs: turn 1, reward"),
    "an action": (
        lambda d: first(d)["texts"].update(agent_0="another text"),
        "run-0.jsonl.gz:8: differs: turn 1",
    ),
    "a metric": (
        lambda d: first(d)["metrics"].update(score=1.0),
        "run-0.jsonl.gz:8: differs: turn 1, metrics",
    ),
    "a prompt": (lambda d: first(d)["prompts"].update(agent_1="hi"), "8: differs: turn 1, agent_1, prompts"),
    "a seed": (lambda d: d.update(seed=999), "run-0.jsonl.gz:8: item, seed, trial"),
    "a trial": (lambda d: d.update(trial=4), "run-0.jsonl.gz:8: item, seed, trial"),
    "another item": (lambda d: d.update(item="eval/30"), "run-0.jsonl.gz:8: item, seed, trial"),
    "a train item": (
        lambda d: d.update(item="train/0", split="train"),
        "run-0.jsonl.gz:8: item, seed, trial",
    ),
    "a dropped step": (lambda d: d.update(turns=[]), "run-0.jsonl.gz:8: turns"),
    "a step too many": (lambda d: d["turns"].append(first(d)), "run-0.jsonl.gz:8: differs: turn 2, turns"),
    "the end": (lambda d: d.update(terminated=False), "run-0.jsonl.gz:8: differs: turn 1, terminated"),
    "another version": (lambda d: d.update(content_hash="0" * 64), "run-0.jsonl.gz:8: content_hash"),
    "easier keywords": (lambda d: d.update(kwargs={"n": 1}), "run-0.jsonl.gz:8: kwargs"),
    "a file of one's own": (lambda d: d.update(kwargs={"data": "/etc/passwd"}), "8: kwargs"),
    "data from elsewhere": (lambda d: d.update(kwargs={"data": "hub:me/mine"}), "8: kwargs"),
    "fewer turns": (lambda d: d.update(kwargs={"max_cycles": 1}), "8: kwargs"),
    "a team of one": (lambda d: d.update(kwargs={"num_agents": 1}), "8: kwargs"),
    "code to import": (lambda d: d.update(env="antigravity:TLDR-v0"), "run-0.jsonl.gz:8: env"),
    "another player": (lambda d: d["agents"].update(agent_0="expert"), "run-0.jsonl.gz:8: agents"),
    "a missing field": (lambda d: d.pop("terminated"), "run-0.jsonl.gz:8: record: no field 'terminated'"),
    "a cost that is none": (
        lambda d: first(d)["usage"]["agent_0"].update(tokens_written=-5),
        "run-0.jsonl.gz:8: turn 1, agent_0, tokens_written",
    ),
}


@pytest.mark.parametrize("what", TAMPERINGS)
def test_a_tampered_record_is_refused_with_its_place(entry, what):
    edit, where = TAMPERINGS[what]
    change_record(entry, 7, edit)
    assert where in refused(entry)


def test_a_duplicated_episode_is_refused(entry):
    lines = read_lines(entry)
    write_lines(entry, [*lines, lines[3]])
    assert "run-0.jsonl.gz:257" in refused(entry)
    assert "a second time" in refused(entry)


def test_a_missing_episode_is_refused(entry):
    lines = read_lines(entry)
    job = json.loads(lines[5])
    write_lines(entry, lines[:5] + lines[6:])
    assert f"1 episodes of the list are missing, the first: item {job['item']}, seed" in refused(entry)


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"score_by_run": [2.9]}, "entry.json, score_by_run"),
        ({"content_hash": "0" * 64}, "entry.json, content_hash: of another version"),
        ({"env": "ArXiv-v0"}, "entry.json, env"),
        ({"kwargs": {"data": "hub:me/mine"}}, "entry.json, kwargs: the list TLDR-v0 is played with {}"),
        ({"kwargs": {"items": []}}, "entry.json, kwargs"),
        ({"kwargs": {"num_agents": True}}, "entry.json, kwargs"),
        ({"kwargs": {"num_agents": 1}}, "entry.json, agents"),
        ({"agents": 1}, "entry.json, agents: claimed 1, recorded 2"),
        ({"list": "TLDR-v0-hub"}, "entry.json, list: the data of TLDR-v0-hub is fetched"),
        ({"curves": [[[0, "high"]]]}, "entry.json: field 'curves'"),
        ({"curves": [[[0, 1.0]], [[0, 1.0]]]}, "entry.json: field 'curves': need one for each of 1 runs"),
        ({"list": "../../etc"}, "entry.json: field 'list'"),
        ({"runs": {"run-0.jsonl.gz": "0" * 64}}, "run-0.jsonl.gz: its sha256"),
        ({"runs": {"/etc/passwd": "0" * 64}}, "entry.json: field 'runs'"),
        ({"name": "../x"}, "entry.json: name"),
        ({"licence": ""}, "entry.json: licence"),
        ({"kind": "trained", "models": ["m"]}, "entry.json: seeds"),
        ({"more": 1}, "entry.json: field 'more' is unknown"),
    ],
)
def test_a_tampered_entry_file_is_refused_with_its_place(entry, fields, where):
    change(entry, **fields)
    assert where in refused(entry)


def test_a_better_claim_is_refused(entry):
    claim = json.loads((entry / "entry.json").read_text())["claim"]
    claim["score"]["mean"] += 1e-6
    change(entry, claim=claim)
    assert "entry.json, claim: score, mean: claimed" in refused(entry)


def test_a_truncated_file_is_refused(entry):
    raw = (entry / "run-0.jsonl.gz").read_bytes()
    (entry / "run-0.jsonl.gz").write_bytes(raw[: len(raw) // 2])
    assert "truncated or damaged" in refused(entry)
    (entry / "run-0.jsonl.gz").write_bytes(b"no gzip at all")
    assert "run-0.jsonl.gz:1: truncated or damaged" in refused(entry)
    write_lines(entry, [*read_lines_of(raw)[:-1], read_lines_of(raw)[-1].rstrip("\n")])
    assert "run-0.jsonl.gz:256: truncated" in refused(entry)


def read_lines_of(raw):
    return gzip.decompress(raw).decode().splitlines(keepends=True)


def spaces(gigabytes):
    """A gzip bomb: so many GB of spaces in a thousandth of that, as members one after the other."""
    return gzip.compress(b" " * 2**24, 9) * (gigabytes * 64)


def test_a_record_of_a_gigabyte_is_refused_in_bounded_memory(entry):
    (entry / "run-0.jsonl.gz").write_bytes(spaces(1))
    tracemalloc.start()
    assert "run-0.jsonl.gz:1: a record of more than 4194304 bytes" in refused(entry)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 * 2**20


def test_records_without_end_are_refused_at_the_first_that_is_too_many(entry):
    write_lines(entry, read_lines(entry) * 40)
    assert "run-0.jsonl.gz:257: item, seed, trial" in refused(entry)


def test_deep_json_is_refused(entry):
    write_lines(entry, ["[" * 100_000 + "\n"])
    assert "run-0.jsonl.gz:1: record: not JSON" in refused(entry)
    (entry / "entry.json").write_text("[" * 100_000)
    assert "entry.json: not JSON" in refused(entry)


def test_links_folders_and_other_files_are_refused(entry, tmp_path):
    (entry / "run.sh").write_text("")
    assert "'run.sh'" in refused(entry)
    (entry / "run.sh").unlink()
    (entry / "run-1.jsonl.gz").symlink_to("/etc/passwd")
    assert "run-1.jsonl.gz: not a plain file" in refused(entry)
    (entry / "run-1.jsonl.gz").unlink()
    os.mkfifo(entry / "run-1.jsonl.gz")
    assert "run-1.jsonl.gz: not a plain file" in refused(entry)
    (entry / "run-1.jsonl.gz").unlink()
    (tmp_path / "link").symlink_to(entry)
    assert "link: a symbolic link" in refused(tmp_path / "link")


def zipped(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_a_zip_of_an_entry_is_verified_without_unpacking_it(entry, tmp_path):
    files = {one.name: one.read_bytes() for one in entry.iterdir()}
    before = sorted(tmp_path.rglob("*"))
    assert verify.verify(zipped(tmp_path / "e.zip", files)).episodes == 256
    assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / "e.zip"])


@pytest.mark.parametrize(
    "name", ["../entry.json", "/etc/passwd", "a/../../b", "..\\x", "run-0.jsonl.gz\0.sh"]
)
def test_path_traversal_in_a_zip_is_refused(tmp_path, name):
    path = zipped(tmp_path / "e.zip", {"entry.json": "{}", "run-0.jsonl.gz": b"", "_" * len(name): "x"})
    path.write_bytes(path.read_bytes().replace(b"_" * len(name), name.encode()))
    assert "an entry holds entry.json and run-0.jsonl.gz" in refused(path)


def test_zip_bombs_and_links_in_a_zip_are_refused(tmp_path):
    big = zipped(tmp_path / "big.zip", {"entry.json": "{}", "run-0.jsonl.gz": b"\0" * (65 * 2**20)})
    assert "run-0.jsonl.gz: 68157440 bytes, more than" in refused(big)
    many = zipped(tmp_path / "many.zip", {f"{k:04}": "" for k in range(2000)})
    assert "names too many files" in refused(many)
    link = zipfile.ZipInfo("run-0.jsonl.gz")
    link.external_attr = 0o120777 << 16
    linked = zipped(tmp_path / "link.zip", {"entry.json": "{}", link: "/etc/passwd"})
    assert "a symbolic link" in refused(linked)
    cut = tmp_path / "cut.zip"
    cut.write_bytes(big.read_bytes()[:-30])
    assert "no plain zip" in refused(cut)


def test_a_damaged_zip_is_refused(entry, tmp_path):
    path = zipped(tmp_path / "e.zip", {one.name: one.read_bytes() for one in entry.iterdir()})
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("entry.json").header_offset + 30 + len("entry.json")
    raw = bytearray(path.read_bytes())
    raw[start : start + 20] = bytes(20)
    path.write_bytes(raw)
    assert "entry.json: truncated or damaged" in refused(path)


def test_an_evaluation_cut_short_makes_no_entry(tmp_path):
    folder = play("TLDR-v0", "random", tmp_path / "runs")
    lines = (folder / "records.jsonl").read_text().splitlines(keepends=True)
    (folder / "records.jsonl").write_text("".join(lines[:-1]))
    about = About(name="short", kind="scripted", method="m", licence="MIT", contact="c", command="x")
    with pytest.raises(NotAccepted, match="1 episodes of the list are missing"):
        submit([folder], about, tmp_path / "entries")
    assert not (tmp_path / "entries").exists()


@pytest.mark.parametrize("runs", [3, pytest.param(40, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_episodes(original, tmp_path, runs):
    """Forty runs are 10,240 episodes, and of a run's megabyte of texts only numbers are kept."""
    one, many = (peak_of(original, tmp_path / str(n), n) for n in (1, runs))
    assert (many - one) / (runs - 1) < 0.1 * sum(map(len, read_lines(original)))


def peak_of(original, folder, runs):
    """The most memory in use while that many runs were verified, in bytes."""
    folder.mkdir()
    for k in range(runs):
        shutil.copy(original / "run-0.jsonl.gz", folder / f"run-{k}.jsonl.gz")
    shutil.copy(original / "entry.json", folder)
    several = {"kind": "trained", "models": ["m"], "hardware": "CPU", "commit": "abc"}
    named = {f"run-{k}.jsonl.gz": str(k) for k in range(runs)}
    change(folder, **several, seeds=list(range(runs)), runs=named)
    opened = bundle.open_bundle(folder)
    entry, _ = read_entry(opened)
    tracemalloc.start()
    verify.check_records(opened, entry)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak
