"""Which steps are the token noiser's."""


def is_noiser(step: int, warmup: int) -> bool:
    """Whether `step`, counted from 1, is a noiser step: none in the warmup, then every other one.

    The authors count from 0 and take the even steps from `warmup` on: with 25, the 27th step is the first.
    """
    place = step - 1
    return place >= warmup and place % 2 == 0
