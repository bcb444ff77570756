"""The marker: reading a learner's answer, comparing it with the right one, and saying what went wrong.

Nothing here imports torch or sympy unless an answer is made with one of them.
"""
