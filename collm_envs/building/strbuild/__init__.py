"""StrBuild: agents build a word from blocks."""
