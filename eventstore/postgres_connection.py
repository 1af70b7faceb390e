"""stub"""


def connect(target, *, autocommit):
    raise NotImplementedError
