"""Whoever knows what is checked, and forges everything else to fit, is refused all the same."""

import gzip
import json
import shutil
from dataclasses import replace

import pytest
from leaderboard_entries import change, change_record, read_lines, write_lines

import collm_envs
from collm_envs.evaluation.episodes import evaluate
from collm_envs.policies.specs import seat_all
from leaderboard import history, lists, verify
from leaderboard.build import build
from leaderboard.bundle import NotAccepted, digest, open_bundle, records
from leaderboard.claim import Tally
from leaderboard.cli import main
from leaderboard.entry import About, read_entry
from leaderboard.page import over
from leaderboard.submit import submit

TRAINED = {"kind": "trained", "models": ["m"], "hardware": "CPU", "commit": "abc"}


SAID = ["--name", "a", "--kind", "scripted", "--method", "m", "--licence", "MIT"]
SAID += ["--contact", "c", "--command", "x"]


@pytest.fixture
def make(tmp_path, monkeypatch):
    """A maker of entries for lists of two pairs, each played once."""

    def made(listed="StrBuild-v0", player="noisy", folder="entries"):
        first = (home / f"{listed}.jsonl").read_text().splitlines(keepends=True)[:2]
        (tmp_path / f"{listed}.jsonl").write_text("".join(first))
        listing = lists.find(listed)
        env = collm_envs.make(listing.env, **listing.kwargs)
        run = tmp_path / "runs" / listed / player
        evaluate(env, seat_all(env.task, player, {}), lists.jobs(listed), run)
        about = About(name=player, kind="scripted", method="m", licence="MIT", contact="c", command="x")
        return submit([run], about, tmp_path / folder)

    home = lists.SPLITS
    for name, value in (("SPLITS", tmp_path), ("PAIRS", 2), ("TRIALS", 1)):
        monkeypatch.setattr(lists, name, value)
    monkeypatch.setattr("leaderboard.page.PAIRS", 2)
    return made


def refused(path, others=()):
    with pytest.raises(NotAccepted) as caught:
        verify.verify(path, others)
    return str(caught.value)


def claim_what_is_recorded(entry):
    """The claim, made by the rules from records that were tampered with."""
    made = json.loads((entry / "entry.json").read_text())
    pairs = list(dict.fromkeys((job.item, job.seed) for job in lists.jobs(made["list"])))
    bundle = open_bundle(entry)
    tally = Tally(pairs, len(bundle.runs()))
    for run, name in enumerate(bundle.runs()):
        for _, one in records(bundle, name):
            tally.add(run, one)
    change(entry, claim=tally.claim(), score_by_run=tally.by_run("score"))


def add_runs(entry, texts):
    """More runs, as bytes of JSON lines, each said to be of another training seed."""
    for k, text in enumerate(texts, start=1):
        (entry / f"run-{k}.jsonl.gz").write_bytes(text)
    opened = open_bundle(entry)
    runs = {name: digest(opened, name) for name in opened.runs()}
    change(entry, **TRAINED, seeds=list(range(len(runs))), runs=runs)
    claim_what_is_recorded(entry)


@pytest.mark.parametrize("listed", ["StrBuild-v0", "CoopHE-v0"])
def test_a_timeout_of_a_test_that_is_none_earns_nothing(make, listed):
    entry = make(listed)

    def forge(data):
        turn = data["turns"][0]
        turn["verdicts"]["x"] = "timeout"
        turn["reward"] = 1e6
        turn["metrics"] = dict.fromkeys(turn["metrics"], 1.0)

    change_record(entry, 0, forge)
    claim_what_is_recorded(entry)
    assert "run-0.jsonl.gz:1: differs: turn 1, verdicts['x']: recorded 'timeout'" in refused(entry)


def test_a_timeout_of_a_test_that_passed_earns_what_replay_says(make, monkeypatch):
    entry = make("CoopHE-v0", "expert")
    monkeypatch.setattr(verify, "MAX_INCONCLUSIVE", 1.0)

    def forge(data):
        turn = data["turns"][-1]
        turn["verdicts"][next(iter(turn["verdicts"]))] = "timeout"
        turn["reward"] = 1e6

    before = json.loads((entry / "entry.json").read_text())["claim"]
    change_record(entry, 0, forge)
    claim_what_is_recorded(entry)
    assert "entry.json, claim: score, mean: claimed 5" in refused(entry)
    change(entry, claim=before, score_by_run=[before["score"]["mean"]])
    assert verify.verify(entry).inconclusive == 1


def test_an_episode_stopped_at_its_best_turn_is_refused(make):
    entry = make()

    def stop(data):
        rewards = [turn["reward"] for turn in data["turns"]]
        data["turns"] = data["turns"][: 1 + rewards.index(max(rewards[:-1]))]
        data["terminated"] = False

    change_record(entry, 1, stop)
    claim_what_is_recorded(entry)
    assert "run-0.jsonl.gz:2: terminated: the episode stops before its end" in refused(entry)


def test_one_run_is_not_three_seeds(make):
    entry = make()
    raw = (entry / "run-0.jsonl.gz").read_bytes()
    add_runs(entry, [raw, raw])
    assert "entry.json: field 'runs': run-0.jsonl.gz and run-1.jsonl.gz are one file" in refused(entry)
    lines = gzip.decompress(raw)
    turned = b"".join(reversed(lines.splitlines(keepends=True)))
    add_runs(entry, [gzip.compress(lines, 1), gzip.compress(turned)])
    assert "run-1.jsonl.gz: the same texts as run-0.jsonl.gz" in refused(entry)
    change(entry, seeds=[0, 1, 1])
    assert "entry.json: field 'seeds': [0, 1, 1] has one twice" in refused(entry)
    change(entry, kind="scripted")
    assert "entry.json: field 'runs': only an entry of kind 'trained' has more than one" in refused(entry)


def test_verifying_again_adds_nothing_and_takes_no_mark_back(make):
    good, bad = make(player="expert"), make(player="noisy")
    entries = good.parents[1]
    assert main(["mark", str(bad), "withdrawn", "--note", "trained on the list"]) == 0
    assert main(["mark", str(good), "reproduced", "--note", "by us"]) == 0
    written = (entries.parent / "history.jsonl").read_text()
    assert main(["verify", "--entries", str(entries), "--write"]) == 0
    assert (entries.parent / "history.jsonl").read_text() == written
    other = make(player="random")
    for _ in range(2):
        assert main(["verify", "--entries", str(entries), "--write"]) == 0
    said = [(event.entry, event.status) for event in history.read(entries.parent / "history.jsonl")]
    assert said[2:] == [("StrBuild-v0/random", "replay-verified")]
    assert other.exists()


def test_verifying_again_adds_a_line_where_it_finds_something_else(make):
    entry = make(player="noisy")
    log, call = entry.parents[2] / "history.jsonl", ["verify", "--entries", str(entry.parents[1]), "--write"]
    assert main(call) == 0
    (first,) = history.read(log)
    log.unlink()
    history.append(log, replace(first, note=f"{first.note}; 57% of the episodes read like those of another"))
    for _ in range(2):
        assert main(call) == 0
    assert [event.note for event in history.read(log)][1:] == [first.note]


def deep(levels):
    value = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def test_odd_costs_and_deep_keywords_are_refused_and_not_a_crash(make):
    entry = make()
    lines, about = read_lines(entry), (entry / "entry.json").read_text()
    for name, value in (("waited", "x"), ("seconds", 10**400), ("waited", [1])):
        change_record(entry, 0, lambda d, n=name, v=value: d["turns"][0]["usage"]["agent_0"].update({n: v}))
        assert f"run-0.jsonl.gz:1: turn 1, agent_0, {name}" in refused(entry)
        write_lines(entry, lines)
    for levels in (40, 700):
        change_record(entry, 0, lambda d, n=levels: d.update(kwargs=deep(n)))
        assert "run-0.jsonl.gz:1: record: nested more than" in refused(entry)
        write_lines(entry, lines)
        change(entry, kwargs=deep(levels))
        assert "entry.json: nested more than" in refused(entry)
        (entry / "entry.json").write_text(about)


def test_a_crash_on_one_entry_leaves_no_other_unchecked(make, monkeypatch, capsys):
    first, second = make(player="expert"), make(player="noisy")
    real = verify.check_records

    def crash(bundle, entry):
        if entry.name == "expert":
            raise RecursionError("too deep")
        return real(bundle, entry)

    monkeypatch.setattr(verify, "check_records", crash)
    assert main(["verify", str(first), str(second), "--entries", str(first.parents[1])]) == 1
    said = capsys.readouterr()
    assert f"refused {first}: RecursionError: too deep" in said.err
    assert f"replay-verified {second}" in said.out


def test_a_malformed_neighbour_refuses_nobody_else(make, capsys):
    good, bad = make(player="expert"), make(player="noisy")
    change(bad, more=1)
    entries = good.parents[1]
    assert main(["verify", str(good), "--entries", str(entries)]) == 0
    assert f"not compared with {bad}: entry.json: field 'more' is unknown" in capsys.readouterr().err
    assert main(["verify", "--entries", str(entries)]) == 1
    said = capsys.readouterr()
    assert f"replay-verified {good}" in said.out
    assert f"refused {bad}" in said.err


def test_an_entry_that_lies_in_another_place_is_refused(make):
    entry = make()
    moved = entry.rename(entry.parent / "other")
    assert "other: holds the entry StrBuild-v0/noisy" in refused(moved)
    (entry.parents[1] / "Elsewhere").mkdir()
    assert "holds the entry" in refused(moved.rename(entry.parents[1] / "Elsewhere" / "noisy"))


@pytest.mark.parametrize(
    "edit",
    [
        lambda claim: claim.pop("score"),
        lambda claim: claim["score"].pop("low"),
        lambda claim: claim["return"].update(mean=None),
        lambda claim: claim["score"].update(more=1.0),
    ],
)
def test_a_claim_of_another_shape_is_refused_before_a_page_is_built(make, edit, tmp_path):
    entry = make()
    claim = json.loads((entry / "entry.json").read_text())["claim"]
    edit(claim)
    change(entry, claim=claim)
    assert "entry.json: field 'claim' is malformed" in refused(entry)
    with pytest.raises(NotAccepted, match="field 'claim'"):
        build(entry.parents[1], tmp_path / "site")


def test_a_copy_hidden_behind_an_honest_run_is_noticed(make, tmp_path):
    honest, copied, expert = make(), make(player="random"), make(player="expert")
    mine = shutil.copytree(honest, tmp_path / "mine")
    change(mine, name="mine")
    add_runs(mine, [(copied / "run-0.jsonl.gz").read_bytes(), (expert / "run-0.jsonl.gz").read_bytes()])
    lines = [
        json.loads(line) for line in gzip.decompress((mine / "run-0.jsonl.gz").read_bytes()).splitlines()
    ]
    for k, source in enumerate((copied, expert), start=1):
        others = [json.loads(line) for line in read_lines(source)]
        text = "".join(json.dumps({**other, "agents": lines[0]["agents"]}) + "\n" for other in others)
        (mine / f"run-{k}.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    add_runs(mine, [(mine / f"run-{k}.jsonl.gz").read_bytes() for k in (1, 2)])
    shares = verify.verify(mine, [copied]).similar
    assert shares == {verify.EXPERT: 1.0, "StrBuild-v0/random": 1.0}


def test_a_line_separator_in_a_note_is_read_again(make):
    entry = make()
    for note in ("one\u2028two", "three\x85four"):
        assert main(["mark", str(entry), "reproduced", "--note", note]) == 0
    found = history.read(entry.parents[2] / "history.jsonl")
    assert [event.note for event in found] == ["one\u2028two", "three\x85four"]


def test_an_installed_board_is_the_folder_one_stands_in(make, tmp_path, monkeypatch, capsys):
    entry = make(folder="leaderboard/entries")
    monkeypatch.setattr("leaderboard.cli.HOME", tmp_path / "site-packages")
    monkeypatch.chdir(tmp_path)
    assert main(["verify"]) == 0
    assert "replay-verified leaderboard/entries/StrBuild-v0/noisy" in capsys.readouterr().out
    assert main(["build"]) == 0
    assert (tmp_path / "leaderboard/site/index.html").exists()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert main(["verify"]) == 1
    assert f"no entries in {tmp_path / 'site-packages/entries'}" in capsys.readouterr().err
    assert main(["submit", str(tmp_path / "runs/StrBuild-v0/noisy"), *SAID, "--models", "m", "n@1"]) == 0
    assert (tmp_path / "empty/entries/StrBuild-v0/a/entry.json").exists()
    out = capsys.readouterr().out
    assert "m has no revision" in out
    assert "n@1 has" not in out
    assert "copy entries/StrBuild-v0/a to leaderboard/entries/StrBuild-v0/ of a clone" in out
    assert entry.exists()


def test_in_a_checkout_submit_says_what_to_commit(make, tmp_path, monkeypatch, capsys):
    make(folder="leaderboard/entries")
    monkeypatch.chdir(tmp_path)
    assert main(["submit", str(tmp_path / "runs/StrBuild-v0/noisy"), *SAID]) == 0
    assert "git add leaderboard/entries/StrBuild-v0/a && git commit" in capsys.readouterr().out


def test_what_is_no_evaluation_is_said_to_be_none(tmp_path):
    entries = ["--entries", str(tmp_path)]
    with pytest.raises(ValueError, match="which folders"):
        main(["submit", *SAID, *entries])
    with pytest.raises(ValueError, match=r"none: no evaluation.*collm eval \.\.\. --out"):
        main(["submit", str(tmp_path / "none"), *SAID, *entries])


def test_a_zip_with_a_folder_is_said_to_need_a_flat_one(make, tmp_path):
    entry = make()
    shutil.make_archive(str(tmp_path / "e"), "zip", entry.parent, entry.name)
    assert "a flat zip" in refused(tmp_path / "e.zip")


def test_the_board_says_what_an_interval_is_over(make, tmp_path):
    entry = make()
    assert over(read_entry(open_bundle(entry))[0]) == "2 items, 2 pairs"
    change(entry, **TRAINED, seeds=[5], curves=[[]])
    build(entry.parents[1], tmp_path / "site")
    assert "2 pairs, 1 seed</td>" in (tmp_path / "site/index.html").read_text()
