"""Happy words, unhappy words, and beginnings of film reviews: all written for this project."""

import re

POSITIVE = frozenset(
    re.findall(
        r"\w+",
        """adored amazing beautiful best bold brilliant calm charming cheerful clever cozy delight delightful
    elegant enjoyed excellent fantastic fine fresh fun funny gem gentle glad good gorgeous graceful great
    happy honest joy kind laughed lively love loved lovely magical masterpiece memorable moving nice perfect
    pleasant pleasure pretty proud refreshing rich sharp smart smiled smooth stunning strong sunny superb
    sweet tender thrilling touching warm wise witty wonderful""",
    )
)
NEGATIVE = frozenset(
    re.findall(
        r"\w+",
        """annoying awful awkward bad bland bleak boring broken cheap clumsy cold confusing cruel dead dire
    dull
    empty fake flat forgettable grim hate hated hollow horrible lame lazy lifeless loud mean mess messy noisy
    pointless poor predictable rude sad shallow silly slow sloppy sour stale stiff stupid terrible thin tired
    tiresome ugly unfunny vain wasted weak weary worse worst wooden wrong yawned""",
    )
)
"""word lists of our own"""
FLIPS = frozenset({"no", "not", "never", "hardly", "nothing", "without", "isnt", "wasnt"})
"""the next word but at most one counts the other way round: "not good", "never very good" """
ROWS = {
    "train": [
        "We saw this film on a rainy evening and",
        "My sister picked it for the long train ride, and",
        "From the first scene on",
        "Halfway through the second act",
        "The leading actor plays a baker, and",
        "I had read the book before, so",
        "It runs for two hours and",
        "The music sets in and",
        "As for the camera work,",
        "Two brothers inherit a boat, and",
        "Everybody at work talked about it, and",
        "When the lights went on again",
        "The story is set in a harbour town, where",
        "Compared with the series,",
        "The dialogue between the two friends",
        "They filmed it in one summer, and",
        "In the last ten minutes",
        "Some people left early, but",
        "The director made it with students, and",
        "A teacher moves to the coast, and",
        "About the ending I can say that",
        "The costumes and the sets",
        "With my parents beside me",
        "Of the three stories in it, the middle one",
    ],
    "eval": [
        "I watched it twice, and",
        "The opening shows a street at dawn, and",
        "A young pilot comes home, and",
        "Our whole row in the cinema",
        "Regarding the supporting cast,",
        "After all the reviews",
        "The plot turns on a lost letter, and",
        "On a small screen",
    ],
}
"""beginnings of reviews, written for this project, without a word of either list"""
