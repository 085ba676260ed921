"""What is expected of each profile: one file per suite, named as its frame, a list in plain words.

`critical` blocks publishing, `warning` asks for a person's approval, `info` is only reported.
Importing a suite imports Great Expectations, which takes seconds.
"""
