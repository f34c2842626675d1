"""How many files a reader opens, and how often again, to follow a step of training and the making of a team.

A route is the files of `baselines/` in the order in which one call enters their functions for the first time.
Properties are read like fields and not counted.  The verbs in `ENDS` are where a policy begins: they are
neither counted nor entered, since another policy has others.
"""

import linecache
import sys
from collections import Counter
from itertools import groupby

import pytest
from folders import ROOT
from lm_fixtures import save, words_tokenizer
from toy_games import Answer, any_text_game

from baselines import maac, magrpo

ENDS = ("converse", "read", "write", "pick", "logp")
TASK = any_text_game(turns=2)


def route(call, to=None):
    """The files that `call` enters, until the function `to` begins: neighbours differ."""
    folder, entered, paused, reached = str(ROOT / "baselines") + "/", {}, [], []

    def enter(frame, event, argument):
        code = frame.f_code
        if paused or reached or not code.co_filename.startswith(folder):
            return None
        if code.co_name in ENDS:
            paused.append(code)
            return leave
        if code.co_name.startswith("<") or is_property(code):
            return None
        entered.setdefault(code, code.co_filename.removeprefix(folder))
        if code.co_name == to:
            reached.append(code)
        return None

    def leave(frame, event, argument):
        if event == "return":
            paused.clear()
        return leave

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        call()
    finally:
        sys.settrace(before)
    return [file for file, _ in groupby(entered.values())]


def is_property(code):
    decorator = linecache.getline(code.co_filename, code.co_firstlineno).strip()
    return decorator in ("@property", "@cached_property")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save(tmp_path_factory.mktemp("models") / "one", "qwen3", words_tokenizer(Answer.vocabulary()))


def test_a_step_of_magrpo_comes_to_its_loss_through_eight_files(model):
    config = magrpo.Config(model=model, group=2, episodes=4, steps=1, max_new_tokens=2, device="cpu")
    team = magrpo.team(config, TASK)
    files = route(lambda: next(magrpo.train(config, TASK, team)), to="lesson_loss")
    assert (files[0], files[-1]) == ("magrpo.py", "formulas/losses.py")
    assert len(set(files)) <= 8, files
    assert len(files) - len(set(files)) <= 3, files


@pytest.mark.parametrize("lora_rank", [0, 2])
def test_making_a_team_with_critics_enters_no_file_more_than_three_times(model, lora_rank):
    config = maac.Config(model=model, lora_rank=lora_rank, max_new_tokens=2, device="cpu")
    files = route(lambda: maac.team(config, TASK))
    assert files[0] == "maac.py"
    assert "lm/engines.py" in files
    assert max(Counter(files).values()) <= 3, files
