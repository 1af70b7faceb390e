"""What users want: every deed gives a spec that the schema takes, and a calm leaves nothing that cannot be."""

import random

from api.parsing import parse_spec
from tests.chaos.schedule import USER
from tests.chaos.wishes import BAD_TAG, Outcome, Wish, changed, ready, refused_spec, settled, shape, waiting_spec


def test_every_shape_and_every_chain_of_deeds_is_a_spec_that_is_accepted_once_settled() -> None:
    chance = random.Random(1)
    for first in range(48):
        wish = ready(shape(first))
        for _ in range(12):
            wish = changed(chance.choice(list(USER)), wish, chance.getrandbits(32))
            calm = settled(wish, chance.getrandbits(16))
            if calm.spec is not None:
                assert parse_spec(calm.spec, name="alpha").findings == ()
                assert BAD_TAG not in str(calm.spec)
                assert calm.outcome in (Outcome.READY, Outcome.PAUSED)


def test_a_deleted_platform_is_wanted_again_only_by_an_install() -> None:
    gone = changed("delete", ready(shape(0)), 0)
    assert gone == Wish()
    assert changed("edit", gone, 1) == Wish()
    assert changed("install", gone, 1).outcome is Outcome.READY


def test_a_deed_leaves_the_spec_it_began_with_as_it_was() -> None:
    wish = ready(shape(4))
    before = str(wish)
    for kind in USER:
        changed(kind, wish, 3)
    assert str(wish) == before


def test_two_of_three_paused_platforms_go_on_in_the_calm() -> None:
    paused = changed("pause", ready(shape(0)), 0)
    assert paused.outcome is Outcome.PAUSED
    assert [settled(paused, choice).outcome for choice in range(3)] == [Outcome.PAUSED, Outcome.READY, Outcome.READY]


def test_what_cannot_be_ready_stays_so() -> None:
    for wish in (Wish(waiting_spec(), Outcome.WAITING), Wish(refused_spec(), Outcome.REFUSED)):
        assert settled(wish, 1) == wish
