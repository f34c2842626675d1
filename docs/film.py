"""Makes docs/episode.gif: an episode page, its world turn by turn.  Needs Chromium and Pillow.

    python docs/film.py

Scripted players: a random turn, two noisy ones, and an expert's.
"""

import io
import random
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from PIL import Image

import collm_envs
from collm_envs.pages.episode import page
from collm_envs.record import record
from collm_envs.replay import reward_range, scenes

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "tests/support"))
from browser import Browser  # noqa: E402

PLAYERS = ("random", "noisy", "noisy", "expert")
WIDTH, HEIGHT, COLOURS = 860, 370, 48
TURN_MS, LAST_MS = 1100, 2600


def episode() -> str:
    """The page of an episode whose k-th turn is played by the k-th of PLAYERS."""
    env = collm_envs.make("StrBuild-v0")
    env.reset(seed=5, options={"item": "str_build_0009"})
    rng = random.Random(5)
    for name in PLAYERS:
        player = env.task.players[name]
        env.step({agent: player(env.task, env.snapshot, agent, rng) for agent in env.agents})
    made = record(env, dict.fromkeys(env.possible_agents, "scripted"))
    return page(asdict(made), scenes(made), reward_range(made))


def frames(folder: Path) -> list[Image.Image]:
    """The page after the start and after every turn, scrolled to its world."""
    file = folder / "episode.html"
    file.write_text(episode(), encoding="utf-8")
    browser = Browser(folder / "profile")
    browser.open(file, WIDTH, HEIGHT)
    browser.run("document.querySelector('#stage').scrollIntoView()")
    pictures = []
    for k in range(len(PLAYERS) + 1):
        browser.run(f"document.querySelectorAll('.steps button')[{k}].click()")
        browser.settle()
        pictures.append(Image.open(io.BytesIO(browser.screenshot(whole=False))).convert("RGB"))
    browser.close()
    return pictures


def main() -> None:
    """Write the film and say how large it is."""
    with tempfile.TemporaryDirectory() as folder:
        pictures = frames(Path(folder))
    palette = pictures[-1].quantize(COLOURS)
    first, *others = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    out = HERE / "episode.gif"
    times = [TURN_MS] * len(others) + [LAST_MS]
    first.save(out, save_all=True, append_images=others, duration=times, loop=0, optimize=True)
    print(f"{out}: {len(pictures)} pictures, {out.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
