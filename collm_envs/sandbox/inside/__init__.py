"""What runs on the far side of the wall: zygote, child, grader.  Standard library only, and nothing of the
rest of the package is ever imported here, so that no test or secret can ride along in memory."""
