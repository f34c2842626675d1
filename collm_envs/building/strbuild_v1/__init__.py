"""StrBuild-v1: a word of which each agent sees some letters and holds one kind of block."""
