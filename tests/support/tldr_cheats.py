"""Texts that are no summary of a post of TLDR-v1, and what texts earn there."""

import collm_envs
from collm_envs.writing.fluency import body, sentences, words_and_numbers

TASK = collm_envs.make_task("TLDR-v1")
ITEMS = [item for split in ("train", "eval") for item in TASK.items(split)]


def score(item, *texts):
    start = TASK.start(item, 0)
    return TASK.score(TASK.play(start, dict(zip(TASK.agents, texts, strict=True))))


def cheats(item, other, rng):
    """(name, brief, detailed) of texts that are no summary."""
    post = body(item.data["prompt"]).split("POST:")[1]
    parts, tokens, spread = sentences(post), post.split(), words_and_numbers(post)
    brief, detailed = item.data["brief"], item.data["detailed"]
    keys = [group[0].lstrip("!") for fact in item.data["facts"] for group in fact]
    plain = ["the", "of", "to", "in", "and", "with", "for", "a", "is", "that", "she", "was", "it"]
    lead, longer = " ".join(parts[:2]), " ".join(parts[:8])
    rng.shuffle(spread)

    def drop(text, n):
        return " ".join(word for k, word in enumerate(text.split()) if k % n != n - 1)

    def shuffled(text):
        return " ".join(rng.sample(text.split(), len(text.split())))

    def spliced(n):
        starts = sorted(rng.sample(range(len(tokens) - 6), n))
        return " and ".join(" ".join(tokens[k : k + 6]) for k in starts)

    yield "another post's references", other.data["brief"], other.data["detailed"]
    yield (
        "those with key words",
        f"{other.data['brief']} {' '.join(keys[:6])}",
        f"{detailed[:0]}{other.data['detailed']} {' '.join(keys)}",
    )
    yield "key words", " ".join(keys[:8]), ". ".join(keys)
    mixed = [f"{rng.choice(plain)} {key}" for key in keys]
    yield "key words, function words", " ".join(mixed[:8]), " ".join(mixed)
    yield (
        "the X and",
        " ".join(f"the {key} and" for key in keys[:8]),
        " ".join(f"the {key} and" for key in keys),
    )
    yield "first sentences", lead, " ".join(parts[:6])
    yield "random sentences", parts[len(parts) // 2], " ".join(rng.sample(parts, min(4, len(parts))))
    yield "title and cut", item.data["prompt"].split("TITLE:")[1].split("\n")[0], post[:400]
    yield "post shuffled", " ".join(spread[:25]), " ".join(spread[:80])
    for n in (2, 3, 4, 6):
        yield f"every word {n} dropped", drop(lead, n), drop(longer, n)
    yield "runs of six words", spliced(4), spliced(9)
    yield "reference shuffled", shuffled(brief), shuffled(detailed)
    yield (
        "half of the reference",
        " ".join(brief.split()[:12]),
        " ".join(detailed.split()[: len(detailed.split()) // 2]),
    )
    yield "brief twice", brief, brief
    yield "detailed twice", detailed, detailed
    yield "exchanged", detailed, brief
    yield "nothing", "", ""
    yield (
        "refusal",
        "I'm sorry, but I cannot help with that request.",
        "As an AI, I can't sum up this post for you.",
    )
