"""The schedule is drawn from the seed and from nothing else."""

from tests.chaos.schedule import FAULTS, OTHER, USER, Pace, storm

NAMES = ("alpha", "beta")


def test_the_same_seed_draws_the_same_deeds_and_another_one_does_not() -> None:
    once = storm(7, 3, 60.0, NAMES, list(FAULTS))
    assert once == storm(7, 3, 60.0, NAMES, list(FAULTS))
    assert once != storm(8, 3, 60.0, NAMES, list(FAULTS))
    assert once != storm(7, 4, 60.0, NAMES, list(FAULTS))


def test_deeds_are_in_order_within_the_storm_and_faults_end_with_it_where_they_can() -> None:
    deeds = storm(1, 1, 30.0, NAMES, list(FAULTS))
    assert [deed.at_seconds for deed in deeds] == sorted(deed.at_seconds for deed in deeds)
    for deed in deeds:
        assert 0 <= deed.at_seconds < 30.0
        if deed.actor == "chaos":
            _, least, most = FAULTS[deed.kind]
            assert least <= deed.seconds <= most
            assert deed.seconds == least or deed.at_seconds + deed.seconds <= 30.0


def test_every_kind_of_deed_comes_up_in_a_long_storm() -> None:
    deeds = storm(1, 1, 3000.0, NAMES, list(FAULTS))
    assert {deed.kind for deed in deeds} == {*FAULTS, *USER, *OTHER}


def test_only_faults_that_the_server_knows_are_drawn() -> None:
    deeds = storm(1, 1, 600.0, NAMES, ["api-cut", "operator-kill"], Pace(chaos=1.0))
    assert {deed.kind for deed in deeds if deed.actor == "chaos"} == {"api-cut", "operator-kill"}
