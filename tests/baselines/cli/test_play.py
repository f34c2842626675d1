"""Playing and reading at the terminal: texts cannot steer it, tables fit it, nothing is lost or cut."""

import builtins
import io
import os
import subprocess
import sys

import pytest
from folders import ROOT, SUPPORT

import collm_envs
from baselines.cli import main, play, terminal
from baselines.cli.terminal import Column
from collm_envs.evaluation.headline import definition, headline
from collm_envs.policies import Human, Seat, parse
from collm_envs.record import read
from collm_envs.render.plain import in_lines, plain, wrapped
from collm_envs.replay import replay

ADDING = "toy_task:Adding-v0"
COLUMNS = (Column("name", align="left"), Column("mean"), Column("low", keep=2), Column("IQM", keep=1))
ROWS = [("score", "0.059218", "0.0412", "0.0591"), ("return", "-1.234567", "-2.5", "-1.2")]


@pytest.fixture
def typing(monkeypatch):
    """Lines that a person types; after the last one the input has ended."""

    def typed(*lines):
        remaining = iter(lines)

        def read_line():
            line = next(remaining, None)
            if line is None:
                raise EOFError
            if isinstance(line, BaseException):
                raise line
            return line

        monkeypatch.setattr(builtins, "input", read_line)

    return typed


@pytest.fixture
def at_a_terminal(monkeypatch):
    """A console of the given width whose output is text in memory."""

    def made(columns):
        monkeypatch.setenv("COLUMNS", str(columns))
        return terminal.console(file=io.StringIO(), force_terminal=True, color_system=None, width=columns)

    return made


def collm(capsys, *args):
    """(exit status, what was printed, what was printed to stderr)."""
    status = main.main(args)
    return status, *capsys.readouterr()


def in_a_process(*args, **variables):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(SUPPORT)]), **variables}
    line = [sys.executable, "-m", "baselines", *args]
    return subprocess.run(line, capture_output=True, text=True, env=env, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b2J", r"\x9b2J"),
        ("a\rb", r"a\rb"),
        ("a\r\nb\tc", "a\nb\tc"),
        ("\u202eabc", r"\u202eabc"),
        ("in\u200bvisible\u00ad", r"in\u200bvisible\xad"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("zażółć 漢字 🧱 a\u00a0b", "zażółć 漢字 🧱 a\u00a0b"),
    ],
)
def test_what_steers_a_terminal_or_hides_is_shown_as_its_escape(text, shown):
    assert plain(text) == shown


@pytest.mark.parametrize("width", [20, 33, 60, 100])
def test_prompts_are_broken_between_words_at_any_width_and_keep_every_word(width):
    _, prompt = next(iter(collm_envs.make("HouseBuild-v0").reset(seed=0)[0].items()))
    shown = wrapped(prompt, width)
    assert shown.split() == prompt.split()
    assert all(len(line) <= width or " " not in line.strip() for line in shown.split("\n"))


def test_wide_characters_count_twice_and_a_word_too_wide_stays_whole():
    assert wrapped("漢字 漢字", 8) == "漢字\n漢字"
    assert wrapped("  see https://example.org/a/long/address now", 12) == (
        "  see\n  https://example.org/a/long/address\n  now"
    )


def test_a_name_and_its_number_stay_on_one_line():
    assert in_lines(["iou 0.4", "adj 0", "extra 0.1"], 16) == "iou 0.4   adj 0\nextra 0.1"


def test_a_console_cleans_what_is_printed_to_it_and_keeps_its_own_colours():
    out = terminal.console(file=io.StringIO(), force_terminal=True, color_system="standard", width=80)
    out.print("a\x1b[2Jb", style="red")
    assert out.file.getvalue() == "\x1b[31ma\\x1b[2Jb\x1b[0m\n"


@pytest.mark.parametrize(
    ("room", "kept"), [(120, [0, 1, 2, 3]), (36, [0, 1, 2, 3]), (32, [0, 1, 2]), (20, [0, 1]), (5, [0, 1])]
)
def test_columns_go_before_numbers_are_cut(room, kept):
    assert terminal.fitting(COLUMNS, ROWS, room) == kept


@pytest.mark.parametrize("columns", [120, 60, 30, 12])
def test_a_table_holds_its_numbers_whole_and_says_what_it_left_out(columns, at_a_terminal):
    out = at_a_terminal(columns)
    terminal.show(out, COLUMNS, ROWS)
    shown = out.file.getvalue()
    assert "0.059218" in shown
    assert "-1.234567" in shown
    assert "…" not in shown
    assert ("IQM" in shown.splitlines()[0]) == (columns > 35)
    assert ("not shown" in " ".join(shown.split())) == (columns < 36)


def test_a_table_in_a_pipe_is_tab_separated_and_a_cell_cannot_add_to_it():
    out = terminal.console(file=io.StringIO())
    terminal.show(out, COLUMNS, [("a\tb\nc\x1b", "1", "2", "3")])
    terminal.note(out, "one\ntwo")
    assert out.file.getvalue() == "name\tmean\tlow\tIQM\na\\tb\\nc\\x1b\t1\t2\t3\n# one\n# two\n"


def test_eval_in_a_pipe_has_one_line_a_measure_and_the_headline(capsys, tmp_path):
    _, out, _ = collm(capsys, "eval", "StrBuild-v0", "--out", str(tmp_path))
    rows = [line.split("\t") for line in out.splitlines() if not line.startswith("#")]
    assert {len(row) for row in rows} == {6}
    assert rows[0][:2] == ["measure", "mean"]
    assert "# StrBuild-v0: all agents: expert" in out
    assert "# score 2.000 of 2 (return 8.000 over 4 turns), mean of 2 episodes" in out


def test_the_headline_says_the_highest_and_counts_turns_in_words():
    assert headline(4.0, 4.0, 8.0, 2) == "score 4.000 of 4 (return 8.000 over 2 turns)"
    assert headline(0.5, 1.0, 1.5, 1).endswith("over 1 turn)")
    assert definition([{"metrics": {"score": 1.0}, "reward": 3.0}], (0.0, 2.98)).startswith(
        "score: the task's own measure, from 0 to 1;"
    )


def test_a_model_cannot_steer_the_terminal_of_whoever_plays(capsys, monkeypatch, typing):
    monkeypatch.setenv("COLUMNS", "60")
    typing(*["\x1b[A5\x1b[2J\x1b]0;x", "."] * 4)
    status, out, _ = collm(capsys, "play", ADDING)
    assert status == 0
    assert "\x1b" not in out
    assert "agent_0 (human) wrote" in out


def test_the_escapes_of_keys_do_not_become_part_of_the_text(typing):
    typing("\x1b[A\x1bOBplace\x1b[1;5D\x7f it\t.", ".")
    (reply,) = Human().act([Seat("agent_0", ("write",), 1)])
    assert reply.text == "place it\t."


def test_a_pasted_block_is_read_line_by_line_and_what_follows_the_dot_is_kept(typing, capsys):
    typing("a\nb\n.\nc\n.")
    human = Human()
    assert [human.act([Seat("agent_0", ("write",), 1)])[0].text for _ in range(2)] == ["a\nb", "c"]


def test_last_repeats_the_text_of_the_turn_before(typing, capsys):
    typing("!last", "x", ".", "!last", "y", ".")
    human = Human()
    (first,) = human.act([Seat("agent_0", ("write",), 1)])
    (second,) = human.act([Seat("agent_0", ("write", "p\nq", "again"), 1)])
    assert (first.text, second.text) == ("x", "p\nq\ny")
    assert "nothing to repeat" in capsys.readouterr().out


def test_a_question_mark_shows_the_world_before_it_is_played(typing, capsys):
    typing("/setblock 0 0 0 stone", "/setblock 99 0 0 stone", "?", ".", *["."] * 3)
    status, out, _ = collm(capsys, "play", "StrBuild-v0")
    assert status == 0
    preview = out[out.index("if only this were played") : out.index("go on writing")]
    assert "0  S...." in preview
    assert "no effect: /setblock 99 0 0 stone" in preview


def test_a_question_mark_where_there_is_no_world_says_so_and_runs_no_program(typing, capsys, monkeypatch):
    typing("?", *["."] * 2)
    task = collm_envs.make_task("TLDR-v0")
    monkeypatch.setattr(type(task), "play", lambda *_: pytest.fail("played"))
    with pytest.raises(pytest.fail.Exception):  # the turn itself
        collm(capsys, "play", "TLDR-v0")
    assert "no world to show" in capsys.readouterr().out


def test_blind_shows_what_the_agent_is_told_and_the_turns_when_all_is_over(typing, capsys):
    seen = []

    def turn():
        seen.append(capsys.readouterr().out)
        return "."

    typing()
    builtins.input = turn  # restored by monkeypatch
    assert main.main(["play", "StrBuild-v0", "--blind", "--seed", "3"]) == 0
    after = capsys.readouterr().out
    env = collm_envs.make("StrBuild-v0")
    prompts, _ = env.reset(seed=3, options={"split": "train"})
    assert prompts["agent_0"].split("\n")[-1] in seen[0]
    assert len(seen) == 4
    assert not any("expert" in shown or "reward" in shown for shown in seen)
    assert after.count("agent_1 (expert) wrote") == 4
    assert "agent_0 (human:blind) wrote" in after


def test_the_blind_person_has_a_name_of_its_own_that_can_be_parsed():
    assert parse("human:blind").name == "human:blind"
    assert parse("human").name == "human"


@pytest.mark.parametrize("end", [KeyboardInterrupt(), None])
def test_what_was_played_is_kept_when_it_is_cut_short(end, typing, capsys, tmp_path):
    path = tmp_path / "new" / "mine.jsonl"
    typing("5", ".", "6", ".", *([end] if end else []))
    status, out, _ = collm(capsys, "play", ADDING, "--out", str(path))
    assert status == (130 if end else 2)
    (kept,) = read(path)
    assert [turn["texts"]["agent_0"] for turn in kept.turns] == ["5", "6"]
    assert replay(kept).status == "equal"
    assert "over 2 turns" in out


def test_nothing_is_left_where_nothing_was_played_and_nothing_is_overwritten(typing, capsys, tmp_path):
    path = tmp_path / "mine.jsonl"
    typing()
    assert collm(capsys, "play", ADDING, "--out", str(path))[0] == 2
    assert not path.exists()
    path.write_text("precious")
    typing(*["1", "."] * 4)
    status, _, err = collm(capsys, "play", ADDING, "--out", str(path))
    assert status == 2
    assert "is there already" in err
    assert path.read_text() == "precious"


def test_a_block_has_one_letter_in_all_renders_of_an_episode():
    env = collm_envs.make("StrBuild-v0", render_mode="ansi")
    env.reset(seed=0)
    drawn = []
    for blocks in (("oak_planks", "white_concrete"), ("stone", "obsidian"), ("oak_planks", "obsidian")):
        texts = [f"/setblock {k} 0 0 {block}" for k, block in enumerate(blocks)]
        env.step(dict(zip(env.agents, texts, strict=True)))
        drawn.append(env.render())
    legends = [
        dict(reversed(pair.split(" ", 1)) for pair in text.splitlines()[-1].split("  ")) for text in drawn
    ]
    for legend in legends[:2]:
        shared = legend.keys() & legends[2].keys()
        assert {block: legend[block] for block in shared} == {block: legends[2][block] for block in shared}
    assert legends[2]["oak_planks"] == legends[0]["oak_planks"]


@pytest.mark.parametrize(
    ("args", "want"),
    [
        (("evl",), "did you mean 'eval'?"),
        (
            ("leaderboard", "submt"),
            "no verb 'submt'; there are submit, verify, mark, build; did you mean 'submit'?",
        ),
        (("qllm", "chek", "f.py"), "no verb or environment 'chek'"),
        (("view", "nowhere"), "collm view: nowhere: No such file or directory\n"),
    ],
)
def test_a_mistake_is_named_in_a_line_of_words_alone(args, want, capsys):
    status, _, err = collm(capsys, *args)
    assert status == 2
    assert want in err
    assert err.count("\n") == 1
    assert "COLLM_TRACEBACK" not in err
    assert "Errno" not in err


def test_an_unexpected_error_says_how_to_see_where(capsys, monkeypatch):
    for broken in (lambda args: {}["key"], lambda args: int("x"), lambda args: 1 / 0, lambda args: len(3)):
        monkeypatch.setattr(main, "_load", lambda function, broken=broken: broken)
        _, _, err = collm(capsys, "envs")
        assert err.endswith("(COLLM_TRACEBACK=1 shows where)\n")


def test_a_word_for_a_number_is_refused_without_python_in_it(capsys):
    with pytest.raises(SystemExit):
        main.main(["eval", ADDING, "--episodes", "ten"])
    err = " ".join(capsys.readouterr().err.split())
    assert "--episodes: need a whole number, got 'ten'" in err
    assert "class" not in err
    assert "None" not in err.partition("default")[0]


def test_version_and_the_help_of_every_verb(capsys):
    assert collm(capsys, "--version")[1].startswith("collm 0.")
    assert collm(capsys, "demo", "--help")[:1] == (0,)
    with pytest.raises(SystemExit):
        main.main(["envs", "--help"])
    assert "[ENV]" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["envs", "--help", "eval"])
def test_a_pipe_that_is_closed_early_is_quiet(verb, tmp_path):
    more = (ADDING, "--out", str(tmp_path)) if verb == "eval" else ()
    reading, writing = os.pipe()
    os.close(reading)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(SUPPORT)])}
    line = [sys.executable, "-m", "baselines", verb, *more]
    done = subprocess.run(line, stdout=writing, stderr=subprocess.PIPE, env=env, text=True)
    os.close(writing)
    told = [line for line in done.stderr.splitlines() if not line.startswith("Adding-v0 ")]  # its progress
    assert (done.returncode, told) == (0, [])


def test_an_ascii_terminal_shows_other_texts_as_escapes_and_goes_on(tmp_path):
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}
    done = in_a_process("envs", "TLDR-v0", **ascii_only)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()


def test_the_console_of_the_verbs_is_a_clean_one():
    assert play.out.on_broken_pipe.__qualname__.startswith("_Console")
