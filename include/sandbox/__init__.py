"""A loopback double of the vendors: their own paths, limits, errors and headers.

It keeps what each vendor would hold (`truth`), counts effects, fails on demand (`faults`), and
shows a page of what a marketer would see. It is a toy that imports nothing of the project.
"""
