"""What the objectives cost: `python -m benchmarks`, or `make bench`.

Every number is a ratio of runs that take turns in one process, so that whatever else the machine does meets both alike.
"""
