"""Studies: several runs that answer one question about training. `learning_curve`: how many examples are enough?

    learning_curve.py   the public function: trains on more and more examples, scores each
    subsets.py          a data folder → nested smaller ones
    curve.py            the points, and from which size on more stops paying
    page.py             what its report says

Knows no terminal. Nothing is imported here.
"""
