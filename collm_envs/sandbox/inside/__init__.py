"""The code that runs inside the sandbox's processes: zygote, child, grader.  Imports the standard library
only and nothing else of the package, so that no test or expected value is in their memory."""
